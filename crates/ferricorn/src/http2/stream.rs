//! One response on a stream of h2's.
//!
//! [`ResponseDriver`] decides what is sent and when; this gives it to h2. It also holds pushed
//! responses back until h2 can take them ([`PushSlots`](super::push_slots::PushSlots)).

use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use asgi::{DisconnectReason, HttpResponsePush};
use asgi_rules::ResponseHead;
use bytes::Bytes;
use h2::server::{SendPushedResponse, SendResponse};
use h2::{Reason, SendStream};
use http::{HeaderMap, Response};
use tracing::debug;

use super::body::disconnect_reason;
use super::capacity::{CapacityWriter, reset_reason};
use super::push::Parent;
use super::push_slots::{PushSlot, PushSlots};
use super::websocket::OverHttp2;
use super::{EXCHANGE_OPTIONS, SEND_BUFFER, Shared, request, response};
use crate::exchange::{Admission, Exchange, NewExchange, PushGate, RequestBody};
use crate::multiplexed::{ResetCause, ResponseDriver, ResponseStream};

/// Drives one exchange on a stream of h2's.
pub(super) type StreamDriver = ResponseDriver<Http2Stream>;

/// Makes the driver of a response. The app may push if there is a `parent`.
pub(super) fn respond_to(
    shared: &Arc<Shared>,
    exchange: &Arc<Exchange>,
    respond: SendResponse<Bytes>,
    parent: Option<Parent>,
) -> StreamDriver {
    if parent.is_some() {
        exchange.allow_pushes(Arc::clone(shared) as Arc<dyn PushGate>);
    }
    let stream = Http2Stream {
        shared: Arc::clone(shared),
        exchange_id: exchange.info().id,
        respond: Respond::Request(respond),
        writer: None,
        parent,
        slot: None,
    };
    ResponseDriver::new(&shared.server, exchange, stream)
}

/// h2 keeps about 300 bytes for each frame that waits for the socket. So it gets no more parts that are
/// smaller than this while the socket takes nothing: they would need more memory than they have bytes.
const SMALL_PART: usize = 1_024;

/// h2's handles of a stream.
pub(super) struct Http2Stream {
    shared: Arc<Shared>,
    /// For the log.
    exchange_id: u64,
    respond: Respond,
    /// Sends the body. `None` before the head is out.
    writer: Option<CapacityWriter>,
    /// The request that promised requests are made from, if the app may push.
    parent: Option<Parent>,
    /// The place of a stream that is itself a push.
    slot: Option<PushSlot>,
}

/// h2's handle of a stream before its head is out.
enum Respond {
    Request(SendResponse<Bytes>),
    Push(SendPushedResponse<Bytes>),
}

impl Respond {
    fn send_response(
        &mut self,
        response: Response<()>,
        end_of_stream: bool,
    ) -> Result<SendStream<Bytes>, h2::Error> {
        match self {
            Self::Request(respond) => respond.send_response(response, end_of_stream),
            Self::Push(respond) => respond.send_response(response, end_of_stream),
        }
    }

    fn send_reset(&mut self, reason: Reason) {
        match self {
            Self::Request(respond) => respond.send_reset(reason),
            Self::Push(respond) => respond.send_reset(reason),
        }
    }

    fn poll_reset(&mut self, cx: &mut Context<'_>) -> Poll<Result<Reason, h2::Error>> {
        match self {
            Self::Request(respond) => respond.poll_reset(cx),
            Self::Push(respond) => respond.poll_reset(cx),
        }
    }
}

impl ResponseStream for Http2Stream {
    type WebSocket = OverHttp2;

    fn send_head(&mut self, head: ResponseHead, ends: bool) -> Result<(), DisconnectReason> {
        let pushes = self.counting_pushes();
        let parked = pushes.as_ref().map(|pushes| pushes.between_turns());
        if let (Some(slot), Some(mut parked)) = (&self.slot, parked) {
            if !slot.fits() {
                // The client has lowered its limit. h2 would park the response for long.
                self.respond.send_reset(Reason::CANCEL);
                return Err(DisconnectReason::Reset(
                    u32::from(Reason::REFUSED_STREAM).into(),
                ));
            }
            *parked = true;
            return self.begin(head, ends);
        }
        self.begin(head, ends)
    }

    fn send_interim(&mut self, response: Response<()>) {
        if let Respond::Request(respond) = &mut self.respond
            && let Err(error) = respond.send_informational(response)
        {
            // The stream is over, which `poll_reset` reports.
            debug!("cannot send an interim response: {error}");
        }
    }

    fn push(&mut self, push: HttpResponsePush, admission: Admission) {
        let promised = self.parent.as_ref().and_then(|parent| parent.promise(push));
        let (Respond::Request(respond), Some(request)) = (&mut self.respond, promised) else {
            return;
        };
        let Admission { place, permit } = admission;
        let Ok(slot) = place.downcast::<PushSlot>() else {
            unreachable!("the gate of an HTTP/2 connection gives out its own places");
        };
        let Shared { server, info, .. } = &*self.shared;
        let began = Instant::now();
        let scope = request::promised_scope(&request, info, server.config(), server.state());
        let info = self
            .shared
            .request_info(request.method(), request.uri(), request.version());
        let respond = match respond.push_request(request) {
            Ok(respond) => respond,
            Err(error) => {
                debug!(exchange = info.id, "cannot push: {error}");
                return;
            }
        };
        let new = NewExchange {
            server,
            permit: permit.take(server),
            info,
            body: None,
            options: EXCHANGE_OPTIONS,
            began,
        };
        let exchange = Exchange::start(new, scope);
        let stream = Self {
            shared: Arc::clone(&self.shared),
            exchange_id: exchange.info().id,
            respond: Respond::Push(respond),
            writer: None,
            parent: None,
            slot: Some(*slot),
        };
        let driver = ResponseDriver::new(server, &exchange, stream);
        // This task never polls it: the response that the client has asked for comes first.
        self.shared.streams.spawn(exchange, driver, None);
    }

    fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        data: &mut Bytes,
        ends: bool,
    ) -> Poll<Result<(), DisconnectReason>> {
        if data.len() < SMALL_PART && !ends {
            ready!(self.shared.transport.poll_unstuck(cx));
        }
        while let Some(writer) = &mut self.writer
            && !data.is_empty()
        {
            // No more than h2 takes at once: it would keep the low 32 bits of the number alone, which
            // are zero for 4 GiB.
            let wanted = data.len().min(SEND_BUFFER);
            let room = match ready!(writer.poll_room(cx, wanted)) {
                Some(Ok(room)) => room,
                Some(Err(error)) => return Poll::Ready(Err(self.lost(&error))),
                // The stream is over; the reset that follows says why.
                None => return Poll::Pending,
            };
            let part = data.split_to(room);
            let sent = match ends && data.is_empty() {
                true => self.send_last(|writer| writer.send_data(part, true)),
                false => writer.send_data(part, false),
            };
            if let Err(error) = sent {
                return Poll::Ready(Err(self.lost(&error)));
            }
        }
        Poll::Ready(Ok(()))
    }

    fn stuck_since(&self) -> Option<Instant> {
        let writer = self.writer.as_ref();
        writer.and_then(CapacityWriter::stuck_since)
    }

    fn end(&mut self, trailers: Option<HeaderMap>) -> Result<(), DisconnectReason> {
        let sent = self.send_last(|writer| match trailers {
            Some(trailers) => writer.send_trailers(trailers),
            None => writer.send_data(Bytes::new(), true),
        });
        sent.map_err(|error| self.lost(&error))
    }

    fn reset(&mut self, cause: ResetCause) {
        let reason = h2_reason(cause);
        match &mut self.writer {
            Some(writer) => writer.reset(reason),
            None => self.respond.send_reset(reason),
        }
    }

    fn poll_reset(&mut self, cx: &mut Context<'_>) -> Poll<DisconnectReason> {
        let reset = match &mut self.writer {
            Some(writer) => writer.poll_reset(cx),
            None => self.respond.poll_reset(cx).map(reset_reason),
        };
        self.shared.or_connection_lost(reset)
    }

    fn open_websocket(&mut self, body: Option<Box<dyn RequestBody>>) -> Option<OverHttp2> {
        let writer = self.writer.take()?;
        Some(OverHttp2::new(&self.shared, writer, body))
    }
}

impl Http2Stream {
    fn begin(&mut self, head: ResponseHead, ends: bool) -> Result<(), DisconnectReason> {
        let response = response::head(head, self.shared.server.config());
        match self.respond.send_response(response, ends) {
            Ok(send) => {
                self.writer = Some(CapacityWriter::new(send));
                if ends {
                    self.slot = None;
                }
                Ok(())
            }
            Err(error) => Err(self.lost(&error)),
        }
    }

    /// Sends the last frame of the stream. A push gives its place back after that, before h2's next
    /// turn.
    fn send_last(
        &mut self,
        send: impl FnOnce(&mut CapacityWriter) -> Result<(), h2::Error>,
    ) -> Result<(), h2::Error> {
        let pushes = self.counting_pushes();
        let _between = pushes.as_ref().map(|pushes| pushes.between_turns());
        self.writer.as_mut().map_or(Ok(()), send)?;
        self.slot = None;
        Ok(())
    }

    /// The pushes of the connection, if this stream is one of them.
    fn counting_pushes(&self) -> Option<Arc<PushSlots>> {
        let pushes = &self.shared.pushes;
        self.slot.as_ref().map(|_| Arc::clone(pushes))
    }

    /// h2 takes nothing more for this stream. Returns the reason for the app.
    fn lost(&self, error: &h2::Error) -> DisconnectReason {
        debug!(
            exchange = self.exchange_id,
            "cannot send the response: {error}"
        );
        disconnect_reason(error)
    }
}

impl Shared {
    /// A reset that has come, or the loss of the connection if h2 is done with it: then no reset comes.
    pub(super) fn or_connection_lost(
        &self,
        reset: Poll<DisconnectReason>,
    ) -> Poll<DisconnectReason> {
        match reset {
            Poll::Pending if self.streams.has_ended() => Poll::Ready(DisconnectReason::Lost),
            reset => reset,
        }
    }
}

pub(super) fn h2_reason(cause: ResetCause) -> Reason {
    match cause {
        ResetCause::Cancelled => Reason::CANCEL,
        ResetCause::AppFailed => Reason::INTERNAL_ERROR,
    }
}
