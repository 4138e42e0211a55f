//! Serde support: each type is written as its text, and parsed again when it is read.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::{IdPattern, Origin, TrustDomain, WorkloadId};

macro_rules! as_text {
    ($($type:ty),+) => {$(
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Self::try_from(String::deserialize(deserializer)?).map_err(de::Error::custom)
            }
        }
    )+};
}

as_text!(IdPattern, Origin, TrustDomain, WorkloadId);
