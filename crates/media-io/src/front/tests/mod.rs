//! The front between real sockets: a client on loopback, an application on a Unix socket, recordings from memory.

mod ending;
mod hostile;
mod pages;
mod playback;
mod proxying;
mod secure;
pub(in crate::front) mod support;
mod tokens;
