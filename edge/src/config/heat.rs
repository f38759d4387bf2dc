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
        let Self { throttle_c, critical_c, .. } = *self;
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
