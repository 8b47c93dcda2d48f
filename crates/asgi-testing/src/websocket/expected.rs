//! Messages that a test expects to be of one kind.

use std::panic::Location;

use asgi::{Message, Text};

use super::{SocketReceiver, WebSocket};
use crate::describe;

impl SocketReceiver {
    /// Waits for the app's next message, which must be a text.
    ///
    /// # Panics
    ///
    /// Panics if it is binary or the WebSocket is closed, with the history of the WebSocket.
    #[track_caller]
    pub fn receive_text(&mut self) -> impl Future<Output = Text> + Send + '_ {
        let caller = Location::caller();
        async move {
            match self.receive_at(caller).await {
                Ok(Message::Text(text)) => text,
                Ok(other) => panic!(
                    "expected a text at {caller}, got {}\n{}\n",
                    describe::message(&other),
                    self.history()
                ),
                Err(closed) => panic!("expected a text at {caller}: {closed:?}\n"),
            }
        }
    }

    /// Waits for the app's next message, and reads it as JSON. This requires the feature `json`.
    ///
    /// # Panics
    ///
    /// Panics if it is not JSON of this type or the WebSocket is closed, with the history of the
    /// WebSocket.
    #[cfg(feature = "json")]
    #[track_caller]
    pub fn receive_json<T: serde::de::DeserializeOwned>(
        &mut self,
    ) -> impl Future<Output = T> + Send + '_ {
        let caller = Location::caller();
        async move {
            let message = match self.receive_at(caller).await {
                Ok(message) => message,
                Err(closed) => panic!("expected JSON at {caller}: {closed:?}\n"),
            };
            match serde_json::from_slice(message.as_bytes()) {
                Ok(value) => value,
                Err(error) => panic!(
                    "expected other JSON at {caller}: {error}: {}\n{}\n",
                    describe::message(&message),
                    self.history()
                ),
            }
        }
    }
}

impl WebSocket {
    /// Waits for the app's next message, which must be a text.
    ///
    /// # Panics
    ///
    /// Panics if it is binary or the WebSocket is closed, with the history of the WebSocket.
    #[track_caller]
    pub fn receive_text(&mut self) -> impl Future<Output = Text> + Send + '_ {
        self.receiver.receive_text()
    }

    /// Waits for the app's next message, and reads it as JSON. This requires the feature `json`.
    ///
    /// # Panics
    ///
    /// Panics under the same conditions as [`SocketReceiver::receive_json`].
    #[cfg(feature = "json")]
    #[track_caller]
    pub fn receive_json<T: serde::de::DeserializeOwned>(
        &mut self,
    ) -> impl Future<Output = T> + Send + '_ {
        self.receiver.receive_json()
    }

    /// Sends a value in JSON, as a text. This requires the feature `json`.
    ///
    /// # Panics
    ///
    /// Panics if the value cannot be written as JSON.
    #[cfg(feature = "json")]
    #[track_caller]
    pub fn send_json<T: serde::Serialize + ?Sized>(
        &mut self,
        value: &T,
    ) -> impl Future<Output = ()> + Send + use<'_, T> {
        self.sender.send_json(value)
    }
}

#[cfg(feature = "json")]
impl super::SocketSender {
    /// Sends a value in JSON, as a text. This requires the feature `json`.
    ///
    /// # Panics
    ///
    /// Panics if the value cannot be written as JSON.
    #[track_caller]
    pub fn send_json<T: serde::Serialize + ?Sized>(
        &mut self,
        value: &T,
    ) -> impl Future<Output = ()> + Send + use<'_, T> {
        match serde_json::to_string(value) {
            Ok(text) => self.send(Message::text(text)),
            Err(error) => panic!("the value cannot be written as JSON: {error}"),
        }
    }
}
