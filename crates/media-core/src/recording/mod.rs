//! Decisions of the recorder and the archive, without a file in sight: which units form a fragment and which fragments
//! a file, how files are called, what a torn file still holds, which spans of time are recorded.

pub mod file_name;
pub mod fragmenter;
pub mod ranges;
pub mod repair;
