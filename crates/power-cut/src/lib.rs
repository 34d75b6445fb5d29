//! A disk in memory that can lose its power, for crash tests.

pub mod disk;
pub mod mount;
