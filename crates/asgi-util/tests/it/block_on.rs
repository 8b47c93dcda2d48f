//! Waiting without a runtime.

use std::future::poll_fn;
use std::sync::mpsc;
use std::task::{Poll, Waker};
use std::thread;
use std::time::Duration;

use asgi_util::block_on;

#[test]
fn a_thread_sleeps_until_another_one_wakes_its_future() {
    let (give, wakers) = mpsc::channel::<Waker>();
    let (tell, told) = mpsc::channel();
    let waker = thread::spawn(move || {
        for waker in wakers {
            waker.wake();
        }
    });
    thread::spawn(move || {
        let mut polls = 0;
        let give = give;
        tell.send(block_on(poll_fn(|cx| {
            polls += 1;
            if polls == 100 {
                return Poll::Ready(polls);
            }
            give.send(cx.waker().clone()).unwrap();
            Poll::Pending
        })))
    });
    assert_eq!(told.recv_timeout(Duration::from_secs(20)), Ok(100));
    waker.join().unwrap();
}
