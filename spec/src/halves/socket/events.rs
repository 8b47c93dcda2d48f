//! Random events of an app.

use asgi::{
    HttpResponseBody, SendEvent, WebSocketAccept, WebSocketClose, WebSocketHttpResponseBody,
    WebSocketHttpResponseStart, WebSocketSend,
};

use super::SocketRun;

impl SocketRun {
    pub(super) fn next_text(&mut self) -> String {
        self.texts += 1;
        self.texts.to_string()
    }

    pub(super) fn random_event(&mut self) -> SendEvent {
        match self.random.below(14) {
            0..=2 => {
                let mut accept = WebSocketAccept::new();
                accept.subprotocol = match self.random.below(4) {
                    0 => Some("b".into()),
                    1 => Some("other".into()),
                    _ => None,
                };
                accept.into()
            }
            3..=7 => WebSocketSend::text(self.next_text()).into(),
            8 => {
                let code = self.random.pick(&[1000, 1001, 1006, 3000]);
                WebSocketClose::new(code).reason("the end").into()
            }
            9 => {
                let status = self.random.pick(&[401, 503, 200, 103]);
                let status = status.try_into().expect("a valid status");
                WebSocketHttpResponseStart::new(status).into()
            }
            10 | 11 => WebSocketHttpResponseBody::more(self.next_text()).into(),
            12 => WebSocketHttpResponseBody::last(self.next_text()).into(),
            _ => HttpResponseBody::last("in the wrong protocol").into(),
        }
    }
}

pub(super) fn describe(event: &SendEvent) -> String {
    let name = event.name();
    match event {
        SendEvent::WebSocketSend(send) => format!("{name} {:?}", send.message),
        SendEvent::WebSocketClose(close) => format!("{name} {}", close.code),
        SendEvent::WebSocketHttpResponseStart(start) => {
            format!("{name} {}", start.status.as_u16())
        }
        _ => name.into(),
    }
}
