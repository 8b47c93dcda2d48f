//! A complete response in one step: it has the same results as its two events. (HTTP-085)

use asgi::{HttpResponseStart, SendError};

use super::model::{InFlight, Model};
use super::{LintedCall, check_answer};
use crate::lint::judged::{ExpectedAnswer, Judged};
use crate::lint::response::ResponseEffect;
use crate::lint::violation::LintFinding;

/// A complete response that the app sends, before the server has answered.
pub(crate) struct Responding {
    start: Judged<ResponseEffect>,
    /// `None` if the start is wrong.
    body: Option<Judged<ResponseEffect>>,
}

impl LintedCall {
    /// Says what the app sends. [`responded`](Self::responded) must follow.
    pub(crate) fn responding(&self, start: &HttpResponseStart, bytes: usize) -> Option<Responding> {
        let mut state = self.lock();
        if state.ended || state.lost {
            return None;
        }
        state.in_flight = Some(InFlight {
            completes: true,
            accepts: false,
        });
        if state.model.is_complete() {
            return Some(Responding {
                start: Judged::after_the_end(),
                body: None,
            });
        }
        let Model::Response(model) = &state.model else {
            return Some(Responding {
                start: Judged::misuse("CORE-013", "in another protocol"),
                body: None,
            });
        };
        let start = model.start(start);
        let body = start.effect.clone().map(|effect| {
            let mut model = model.clone();
            model.apply(effect);
            model.part("HTTP-021", Some(bytes as u64), true)
        });
        Some(Responding { start, body })
    }

    /// Says how the server has answered; `None` if the app still waits, or sends two events instead.
    pub(crate) fn responded(
        &self,
        responding: Option<Responding>,
        result: Option<&Result<(), SendError>>,
    ) {
        let mut found = Vec::new();
        {
            let state = &mut *self.lock();
            state.in_flight = None;
            let (Some(Responding { start, body }), Some(result)) = (responding, result) else {
                return;
            };
            match result {
                Err(error) if error.is_over() => return,
                Err(error) if error.is_disconnected() => found.extend(state.send_failed(error)),
                result => {
                    // The event that the result is about: the first one that is wrong.
                    let body = body.filter(|_| matches!(start.answer, ExpectedAnswer::Take { .. }));
                    let (name, judged) = match &body {
                        Some(body) => ("http.response.body", body),
                        None => ("http.response.start", &start),
                    };
                    if let Some(rule) = &judged.app {
                        let happened = format!("{name} {}", rule.what);
                        found.push(LintFinding::app(rule.id, happened));
                    }
                    found.extend(check_answer(name, &judged.answer, result));
                    let is_right = found.iter().all(|one| one.side == crate::Side::App);
                    match (start.effect, body) {
                        (Some(start), Some(body)) if is_right => {
                            state.apply_response(start);
                            if let Some(body) = body.effect {
                                state.apply_response(body);
                            }
                        }
                        (None, _) if result.is_err() => {}
                        // It is not known which of the two events were taken.
                        _ => state.lost = true,
                    }
                }
            }
        }
        self.report(found);
    }
}
