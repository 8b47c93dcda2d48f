//! Random events of an app.

use asgi::http::{HeaderMap, HeaderName, HeaderValue};
use asgi::{
    HttpResponseBody, HttpResponseDebug, HttpResponseEarlyHint, HttpResponsePush,
    HttpResponseStart, HttpResponseTrailers, SendEvent, State, WebSocketAccept,
};

use super::HttpRun;

impl HttpRun {
    pub(super) fn next_text(&mut self) -> String {
        self.parts += 1;
        match self.random.below(4) {
            0 => String::new(),
            _ => format!("{};", self.parts),
        }
    }

    pub(super) fn random_event(&mut self) -> SendEvent {
        match self.random.below(16) {
            0..=3 => self.random_start().into(),
            4..=7 => HttpResponseBody::more(self.next_text()).into(),
            8 | 9 => HttpResponseBody::last(self.next_text()).into(),
            10 => HttpResponseTrailers::new(headers("x-sum", "1")).into(),
            11 => HttpResponseTrailers::more(headers("x-part", "1")).into(),
            12 => {
                let link = format!("</{}.css>", self.parts);
                let link = HeaderValue::try_from(link).expect("a valid link");
                HttpResponseEarlyHint::new([link]).into()
            }
            13 => {
                let path = self.random.pick(&["/a.css", "/b.js", "/c.png", "*"]);
                HttpResponsePush::new(path.parse().expect("a valid path")).into()
            }
            14 => HttpResponseDebug::new(State::new()).into(),
            _ => WebSocketAccept::new().into(),
        }
    }

    fn random_start(&mut self) -> HttpResponseStart {
        let status = self.random.pick(&[200, 200, 200, 404, 204, 304, 799, 103]);
        let mut start = HttpResponseStart::new(status.try_into().expect("a valid status"));
        if self.random.one_in(4) {
            let length = self.random.pick(&["0", "4", "7", "+4"]);
            start = start.header("content-length", length);
        }
        start.trailers = self.random.one_in(4);
        start
    }
}

pub(super) fn describe(event: &SendEvent) -> String {
    let name = event.name();
    match event {
        SendEvent::HttpResponseStart(start) => format!("{name} {}", start.status.as_u16()),
        SendEvent::HttpResponseBody(part) => {
            let more = if part.more_body { "more" } else { "last" };
            format!("{name} {:?} {more}", part.body)
        }
        _ => name.into(),
    }
}

pub(super) fn headers(name: &'static str, value: &'static str) -> HeaderMap {
    let (name, value) = (
        HeaderName::from_static(name),
        HeaderValue::from_static(value),
    );
    HeaderMap::from_iter([(name, value)])
}
