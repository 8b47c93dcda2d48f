//! A drain with open WebSockets and event streams.
