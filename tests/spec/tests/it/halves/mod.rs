//! The level without sockets, against the halves of this workspace and against broken ones.

mod broken;
mod rules;
mod testing;
