//! `[heat]`: how hot the unit may get.

use anyhow::bail;
use serde::{Deserialize, Serialize};

/// `[heat]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct HeatConfig {
    /// From this temperature on the unit searches fewer frames, degrees Celsius.
    pub throttle_c: u8,
    /// From this one on it is at fault, degrees Celsius.
    pub critical_c: u8,
    /// The type of the thermal zone that tells, as `/sys/class/thermal/thermal_zone*/type` has it; the hottest of all if there is none.
    pub zone: Option<String>,
}

impl Default for HeatConfig {
    fn default() -> Self {
        Self {
            // A Jetson Orin's kernel takes clocks away from 99 degrees on, by NVIDIA's guides, and tells nobody. The unit does with less,
            // and says so, before that.
            throttle_c: 90,
            // It shuts down at 104.5: the last degrees in which the unit can say why the door stays locked.
            critical_c: 103,
            zone: None,
        }
    }
}

impl HeatConfig {
    /// Checks what the types cannot.
    pub(super) fn check(&self) -> anyhow::Result<()> {
        let Self { throttle_c, critical_c, ref zone } = *self;
        // A type is at most 19 bytes long in the kernel (THERMAL_NAME_LENGTH).
        if zone.as_ref().is_some_and(|zone| zone.is_empty() || zone.len() > 19) {
            bail!(
                "zone in [heat] is no type of a thermal zone: 1 to 19 bytes, as /sys/class/thermal/thermal_zone*/type says"
            );
        }
        if !(40..=120).contains(&throttle_c) {
            bail!("throttle_c in [heat] is {throttle_c}: it may be 40 to 120");
        }
        if critical_c <= throttle_c || critical_c > 125 {
            bail!(
                "critical_c in [heat] is {critical_c}: it may be {} to 125, above throttle_c",
                throttle_c + 1
            );
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::check;

    #[test]
    fn limits_out_of_their_order_or_range_are_refused_with_their_lines() {
        for (text, line, key) in [
            ("[heat]\nthrottle_c = 39\n", 2, "throttle_c"),
            ("[heat]\nthrottle_c = 121\n", 2, "throttle_c"),
            ("[heat]\nthrottle_c = 80\ncritical_c = 80\n", 3, "critical_c"),
            ("[heat]\ncritical_c = 126\n", 2, "critical_c"),
            ("[heat]\nzone = \"\"\n", 2, "zone"),
            ("[heat]\nzone = \"a-type-of-twenty-byte\"\n", 2, "zone"),
            ("[presentation]\nlock_out_after = 0\n", 2, "lock_out_after"),
            ("[presentation]\nlock_out_after = 11\n", 2, "lock_out_after"),
        ] {
            let problems = check::read(text).err().unwrap_or_default();
            let found: Vec<_> = problems.iter().map(|problem| problem.line).collect();
            assert_eq!(found, [line], "{text}: {problems:?}");
            assert!(problems.iter().all(|problem| problem.what.starts_with(key)), "{problems:?}");
        }
        let right = "[heat]\nthrottle_c = 75\ncritical_c = 84\nzone = \"cpu-thermal\"\n";
        assert!(check::read(right).is_ok());
    }
}
