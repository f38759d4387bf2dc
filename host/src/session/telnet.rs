//! Telnet with the COM port control option (RFC 854, 856, 2217): a serial port's bytes and its settings on one connection.
//!
//! Owns the escapes and the few options that a transparent line needs. Refuses every other option, and knows no socket:
//! bytes in, bytes out.

/// Interpret as command.
const IAC: u8 = 255;
const SE: u8 = 240;
const SB: u8 = 250;
const WILL: u8 = 251;
const WONT: u8 = 252;
const DO: u8 = 253;
const DONT: u8 = 254;

/// Eight bits both ways (RFC 856).
const BINARY: u8 = 0;
/// No turns to speak in (RFC 858).
const SUPPRESS_GO_AHEAD: u8 = 3;
/// The serial port's settings (RFC 2217).
const COM_PORT: u8 = 44;

/// What a server's answer adds to the command that it answers (RFC 2217, section 3).
const ANSWER: u8 = 100;

/// A setting of the serial port: the command of RFC 2217 and its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Setting {
    /// Bits a second.
    Baud(u32),
    /// Eight data bits.
    EightBits,
    /// No parity.
    NoParity,
    /// One stop bit.
    OneStopBit,
    /// No flow control: a frame may hold any byte.
    NoFlowControl,
}

impl Setting {
    /// What a door unit's line is.
    pub(super) const fn of_line(baud: u32) -> [Self; 5] {
        [Self::Baud(baud), Self::EightBits, Self::NoParity, Self::OneStopBit, Self::NoFlowControl]
    }

    /// Command and value.
    fn bytes(self) -> (u8, Vec<u8>) {
        match self {
            Self::Baud(baud) => (1, baud.to_be_bytes().to_vec()),
            Self::EightBits => (2, vec![8]),
            Self::NoParity => (3, vec![1]),
            Self::OneStopBit => (4, vec![1]),
            Self::NoFlowControl => (5, vec![1]),
        }
    }

    /// In words, for an error.
    pub(super) fn words(self) -> String {
        match self {
            Self::Baud(baud) => format!("{baud} baud"),
            Self::EightBits => "8 data bits".to_owned(),
            Self::NoParity => "no parity".to_owned(),
            Self::OneStopBit => "1 stop bit".to_owned(),
            Self::NoFlowControl => "no flow control".to_owned(),
        }
    }
}

/// Where the reading of the server's bytes stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    #[default]
    Data,
    /// Behind an IAC.
    Command,
    /// Behind an IAC and one of WILL, WONT, DO, DONT.
    Option(u8),
    /// Inside of a subnegotiation.
    Inside,
    /// There, behind an IAC.
    InsideCommand,
}

/// The longest subnegotiation that is kept: a server's name may be longer, and nobody needs it.
const MAX_INSIDE: usize = 64;

/// One end of a telnet connection to a serial port.
#[derive(Debug, Default)]
pub(super) struct Telnet {
    place: Place,
    inside: Vec<u8>,
    /// The server gives the port's settings; `None` while it has not said.
    pub(super) settable: Option<bool>,
    /// The server takes eight bits; `None` while it has not said.
    pub(super) binary: Option<bool>,
    /// Settings that the server has said, by command.
    said: Vec<(u8, Vec<u8>)>,
    /// The server asked for a rest.
    pub(super) suspended: bool,
}

impl Telnet {
    /// What a client says first.
    pub(super) fn greeting() -> Vec<u8> {
        [
            [IAC, WILL, COM_PORT],
            [IAC, WILL, BINARY],
            [IAC, DO, BINARY],
            [IAC, DO, SUPPRESS_GO_AHEAD],
        ]
        .concat()
    }

    /// Asks for a setting.
    pub(super) fn request(&mut self, setting: Setting) -> Vec<u8> {
        let (command, value) = setting.bytes();
        self.said.retain(|(of, _)| *of != command);
        let mut bytes = vec![IAC, SB, COM_PORT, command];
        bytes.extend(Self::escaped(&value));
        bytes.extend([IAC, SE]);
        bytes
    }

    /// What the server said of a setting: as it was asked for, or otherwise; `None` while it has not said.
    pub(super) fn holds(&self, setting: Setting) -> Option<bool> {
        let (command, value) = setting.bytes();
        let said = self.said.iter().rev().find(|(of, _)| *of == command)?;
        Some(said.1 == value)
    }

    /// Data as it goes onto the connection.
    pub(super) fn escaped(data: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(data.len());
        for &byte in data {
            bytes.push(byte);
            if byte == IAC {
                bytes.push(IAC);
            }
        }
        bytes
    }

    /// Reads what came: data goes to `data`, what has to be said in return to `answer`.
    pub(super) fn take(&mut self, bytes: &[u8], data: &mut Vec<u8>, answer: &mut Vec<u8>) {
        for &byte in bytes {
            self.place = match (self.place, byte) {
                (Place::Data, IAC) => Place::Command,
                (Place::Command, IAC) | (Place::Data, _) => {
                    data.push(byte);
                    Place::Data
                }
                (Place::Command, WILL | WONT | DO | DONT) => Place::Option(byte),
                (Place::Command, SB) => {
                    self.inside.clear();
                    Place::Inside
                }
                // A command without an option: nothing that a transparent line needs.
                (Place::Command, _) => Place::Data,
                (Place::Option(verb), option) => {
                    self.option(verb, option, answer);
                    Place::Data
                }
                (Place::Inside, IAC) => Place::InsideCommand,
                (Place::InsideCommand, SE) => {
                    self.subnegotiation();
                    Place::Data
                }
                (Place::Inside, _) | (Place::InsideCommand, IAC) => {
                    if self.inside.len() < MAX_INSIDE {
                        self.inside.push(byte);
                    }
                    Place::Inside
                }
                (Place::InsideCommand, _) => Place::Data,
            };
        }
    }

    fn option(&mut self, verb: u8, option: u8, answer: &mut Vec<u8>) {
        match (verb, option) {
            (DO | DONT, COM_PORT) => self.settable = Some(verb == DO),
            (DO | DONT, BINARY) => {
                self.binary = Some(verb == DO && self.binary.unwrap_or(true));
            }
            // What was asked for in the greeting is not answered: that would go on for ever.
            (WONT, BINARY) => self.binary = Some(false),
            (WILL | WONT, BINARY | SUPPRESS_GO_AHEAD) | (WONT | DONT, _) => {}
            (DO, SUPPRESS_GO_AHEAD) => answer.extend([IAC, WILL, option]),
            (DO, _) => answer.extend([IAC, WONT, option]),
            (WILL, COM_PORT) => answer.extend([IAC, DO, option]),
            _ => answer.extend([IAC, DONT, option]),
        }
    }

    fn subnegotiation(&mut self) {
        let Some(([COM_PORT, command], value)) = self.inside.split_first_chunk::<2>() else {
            return;
        };
        match command.checked_sub(ANSWER) {
            Some(8) => self.suspended = true,
            Some(9) => self.suspended = false,
            Some(command @ 1..=5) => {
                self.said.retain(|(of, _)| *of != command);
                self.said.push((command, value.to_vec()));
            }
            // Changes of the modem's lines, and signatures.
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_passes_both_ways_however_it_is_cut() {
        let all: Vec<u8> = (0..=255).chain([255, 255, 0, 255]).collect();
        let escaped = Telnet::escaped(&all);
        for cut in 1..escaped.len() {
            let (mut telnet, mut data, mut answer) = (Telnet::default(), vec![], vec![]);
            for part in escaped.chunks(cut) {
                telnet.take(part, &mut data, &mut answer);
            }
            assert_eq!((data, answer), (all.clone(), vec![]), "{cut}");
        }
    }

    #[test]
    fn a_server_says_what_it_gives_and_options_that_nobody_needs_are_refused() {
        let (mut telnet, mut data, mut answer) = (Telnet::default(), vec![], vec![]);
        let echo = 1;
        let said = [
            [IAC, DO, COM_PORT],
            [IAC, DONT, BINARY],
            [IAC, WILL, echo],
            [IAC, DO, echo],
            [IAC, WILL, BINARY],
        ];
        telnet.take(&said.concat(), &mut data, &mut answer);
        assert_eq!((telnet.settable, telnet.binary), (Some(true), Some(false)));
        assert_eq!(answer, [IAC, DONT, echo, IAC, WONT, echo]);
        assert!(data.is_empty());
    }

    #[test]
    fn a_setting_holds_when_the_server_says_the_value_that_was_asked_for() {
        let baud = Setting::Baud(0x00ff_ff01);
        let (mut telnet, mut data, mut answer) = (Telnet::default(), vec![], vec![]);
        assert_eq!(telnet.holds(baud), None);
        // The server's answer is the request with another command; IAC within the value is doubled.
        let mut said = telnet.request(baud);
        said[3] += ANSWER;
        telnet.take(&said, &mut data, &mut answer);
        assert_eq!(telnet.holds(baud), Some(true));
        assert_eq!(telnet.holds(Setting::Baud(9600)), Some(false));
        assert_eq!(telnet.holds(Setting::EightBits), None);
    }

    #[test]
    fn a_subnegotiation_without_end_takes_no_memory_and_a_rest_ends() {
        let (mut telnet, mut data, mut answer) = (Telnet::default(), vec![], vec![]);
        telnet.take(&[IAC, SB], &mut data, &mut answer);
        telnet.take(&[7; 100_000], &mut data, &mut answer);
        assert!(telnet.inside.len() <= MAX_INSIDE && data.is_empty());
        telnet.take(&[IAC, SE, b'x'], &mut data, &mut answer);
        assert_eq!(data, b"x");
        telnet.take(&[IAC, SB, COM_PORT, 108, IAC, SE], &mut data, &mut answer);
        assert!(telnet.suspended);
        telnet.take(&[IAC, SB, COM_PORT, 109, IAC, SE], &mut data, &mut answer);
        assert!(!telnet.suspended);
    }
}
