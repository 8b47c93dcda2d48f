//! The app of the tests. It needs no runtime.
//!
//! | path | shows |
//! | --- | --- |
//! | `/` | a complete response |
//! | `/echo` | the body of the request, sent back part by part |
//! | `/stream` | a response in parts, which only the end of the connection ends |
//! | `/length` | reads the whole body, then says how long it is |
//! | `/big` | more than a client takes at once |
//! | `/state` | a value that the app made at start-up |
//! | `/closed` | waits until the client leaves |
//! | `/late` | answers after it has answered |
//! | `/panic`, `/error`, `/silent`, `/abort`, `/misuse` | five ways to break the rules |

use asgi::{
    AppError, HttpResponseBody, HttpResponseStart, HttpScope, LifespanShutdownComplete,
    LifespanStartupComplete, ReceiveEvent, Receiver, Scope, Sender, State,
};

const TEXT: &str = "text/plain; charset=utf-8";

asgi_loader::export!(app);

async fn app(scope: Scope, receive: Receiver, send: Sender) -> Result<(), AppError> {
    match scope {
        Scope::Http(request) => serve(*request, receive, send).await,
        Scope::Lifespan(_) => lifespan(receive, send).await,
        other => Err(AppError::unsupported(&other)),
    }
}

async fn lifespan(mut receive: Receiver, mut send: Sender) -> Result<(), AppError> {
    loop {
        match receive.receive().await {
            ReceiveEvent::LifespanStartup(_) => {
                let mut state = State::new();
                state.insert(String::from("made at start-up\n"));
                let complete = LifespanStartupComplete::with_state(state);
                send.send(complete).await?;
            }
            _ => return Ok(send.send(LifespanShutdownComplete::new()).await?),
        }
    }
}

async fn serve(
    request: HttpScope,
    mut receive: Receiver,
    mut send: Sender,
) -> Result<(), AppError> {
    let start = HttpResponseStart::ok().content_type(TEXT);
    match request.target.path() {
        "/" => send.respond(start, "Hello, world!\n").await?,
        "/state" => {
            let text = request.state.get::<String>();
            let text = text.ok_or("the server has no lifespan")?;
            send.respond(start, text.as_bytes().to_vec()).await?;
        }
        "/echo" => {
            send.send(start).await?;
            while let ReceiveEvent::HttpRequest(part) = receive.receive().await {
                let part = HttpResponseBody::new(part.body, part.more_body);
                let last = !part.more_body;
                send.send(part).await?;
                if last {
                    break;
                }
            }
        }
        "/stream" => {
            send.send(start).await?;
            for line in 1..=3 {
                let line = format!("line {line}\n");
                send.send(HttpResponseBody::more(line)).await?;
            }
            send.send(HttpResponseBody::last("")).await?;
        }
        "/length" => {
            let length = receive.body(1024 * 1024).await?.len();
            send.respond(start, format!("{length} bytes\n")).await?;
        }
        "/big" => {
            send.send(start).await?;
            for _ in 0..256 {
                let part = HttpResponseBody::more(vec![b'x'; 64 * 1024]);
                send.send(part).await?;
            }
            send.send(HttpResponseBody::last("")).await?;
        }
        "/closed" => {
            let reason = send.closed().await;
            send.respond(start, format!("{reason:?}\n")).await?;
        }
        "/late" => {
            send.respond(start, "in time\n").await?;
            send.send(HttpResponseBody::last("late")).await?;
        }
        "/panic" => panic!("the client asked for a panic"),
        "/error" => return Err("the client asked for an error".into()),
        "/silent" => {}
        "/abort" => {
            send.send(start).await?;
            send.send(HttpResponseBody::more("half\n")).await?;
        }
        "/misuse" => send.send(HttpResponseBody::last("no start")).await?,
        _ => {
            let start = HttpResponseStart::new(asgi::http::StatusCode::NOT_FOUND);
            send.respond(start.content_type(TEXT), "Not found\n")
                .await?;
        }
    }
    Ok(())
}
