//! WIMSE.
