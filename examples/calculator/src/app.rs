//! A calculator: a page with a form, and the results for its script.
//!
//! | request | answer |
//! | --- | --- |
//! | `GET /` | the page; its style sheet and its script are pushed, or announced with early hints |
//! | `POST /` with `{"operator": "+", "a": 2, "b": 3}` | `5.0`, or 400 with a reason |

use asgi::{
    AppError, HttpResponseStart, HttpScope, LifespanShutdownComplete, LifespanStartupComplete,
    ReceiveEvent, Receiver, Scope, Sender,
};
use asgi_util::{Destination, Preload};
use http::{HeaderValue, Method, StatusCode, header};
use serde_json::Value;

const TEXT: &str = "text/plain; charset=utf-8";

/// In bytes. A calculation needs less than a hundred.
const MAX_BODY: usize = 4096;

/// The app: the server calls it once for each request, also for each pushed one.
pub(crate) async fn app(
    scope: Scope,
    mut receive: Receiver,
    mut send: Sender,
) -> Result<(), AppError> {
    match scope {
        Scope::Http(http) => serve(&http, &mut receive, &mut send).await,
        Scope::Lifespan(_) => lifespan(receive, send).await,
        other => Err(AppError::unsupported(&other)),
    }
}

async fn lifespan(mut receive: Receiver, mut send: Sender) -> Result<(), AppError> {
    loop {
        match receive.receive().await {
            ReceiveEvent::LifespanStartup(_) => send.send(LifespanStartupComplete::new()).await?,
            ReceiveEvent::LifespanShutdown(_) => {
                send.send(LifespanShutdownComplete::new()).await?;
                return Ok(());
            }
            _ => {}
        }
    }
}

async fn serve(
    http: &HttpScope,
    receive: &mut Receiver,
    send: &mut Sender,
) -> Result<(), AppError> {
    let reads = [Method::GET, Method::HEAD].contains(&http.method);
    match &*http.local_path() {
        "/" if http.method == Method::POST => calculate(receive, send).await,
        "/" if reads => page(http, send).await,
        "/calculator.css" if reads => asset(send, "text/css", include_str!("calculator.css")).await,
        "/calculator.js" if reads => {
            asset(send, "text/javascript", include_str!("calculator.js")).await
        }
        "/" | "/calculator.css" | "/calculator.js" => {
            fail(send, StatusCode::METHOD_NOT_ALLOWED, "Method not allowed\n").await
        }
        _ => fail(send, StatusCode::NOT_FOUND, "Not found\n").await,
    }
}

async fn page(http: &HttpScope, send: &mut Sender) -> Result<(), AppError> {
    let path = |name: &str| format!("{}/{name}", http.root_path).parse();
    let links = Preload::new()
        .with(path("calculator.css")?, Destination::Style)
        .with(path("calculator.js")?, Destination::Script)
        .announce(&http.extensions, send)
        .await?;
    let start = HttpResponseStart::ok()
        .content_type("text/html; charset=utf-8")
        .links(links);
    send.respond(start, include_str!("index.html")).await?;
    Ok(())
}

async fn asset(
    send: &mut Sender,
    media_type: &'static str,
    text: &'static str,
) -> Result<(), AppError> {
    let keep = HeaderValue::from_static("max-age=3600");
    let start = HttpResponseStart::ok()
        .content_type(media_type)
        .header(header::CACHE_CONTROL, keep);
    send.respond(start, text).await?;
    Ok(())
}

async fn fail(send: &mut Sender, status: StatusCode, text: &'static str) -> Result<(), AppError> {
    let start = HttpResponseStart::new(status).content_type(TEXT);
    send.respond(start, text).await?;
    Ok(())
}

async fn calculate(receive: &mut Receiver, send: &mut Sender) -> Result<(), AppError> {
    let body = match receive.body(MAX_BODY).await {
        Ok(body) => body,
        Err(error) if error.is_too_large() => {
            return fail(
                send,
                StatusCode::PAYLOAD_TOO_LARGE,
                "The body is too long\n",
            )
            .await;
        }
        Err(error) => return Err(error.into()),
    };
    match result(&body) {
        Ok(number) => {
            let start = HttpResponseStart::ok().content_type("application/json");
            send.respond(start, Value::from(number).to_string()).await?;
            Ok(())
        }
        Err(why) => fail(send, StatusCode::BAD_REQUEST, why).await,
    }
}

/// The result of a calculation, or the reason why there is none.
fn result(body: &[u8]) -> Result<f64, &'static str> {
    let calculation: Value = serde_json::from_slice(body).map_err(|_| "The body is not JSON\n")?;
    let number = |name: &str| calculation[name].as_f64().ok_or("A number is missing\n");
    let (a, b) = (number("a")?, number("b")?);
    let result = match calculation["operator"].as_str() {
        Some("+") => a + b,
        Some("-") => a - b,
        Some("*") => a * b,
        Some("/") => a / b,
        _ => return Err("The operator must be one of + - * /\n"),
    };
    if result.is_finite() {
        Ok(result)
    } else {
        Err("The result is not a number\n")
    }
}

#[cfg(test)]
mod tests {
    use asgi::{AppError, Extension, Extensions};
    use asgi_spec::Lint;
    use asgi_testing::Client;
    use http::Method;

    use super::app;

    #[tokio::test]
    async fn the_page_pushes_its_style_sheet_and_its_script() -> Result<(), AppError> {
        let client =
            Client::new(Lint::new(app)).extensions(Extensions::new().with(Extension::Push));
        let page = client.get("/").await?;
        let pushed: Vec<_> = page.pushes().iter().map(|push| push.path()).collect();
        assert_eq!(pushed, ["/calculator.css", "/calculator.js"]);
        Ok(())
    }

    #[tokio::test]
    async fn a_client_without_push_gets_early_hints() -> Result<(), AppError> {
        let page = Client::new(Lint::new(app)).get("/").await?;
        assert_eq!(page.early_hints().len(), 1);
        Ok(())
    }

    #[tokio::test]
    async fn it_calculates() -> Result<(), AppError> {
        let client = Client::new(Lint::new(app));
        for (sum, status, answer) in [
            (r#"{"operator":"+","a":2,"b":3}"#, 200, "5.0"),
            (r#"{"operator":"-","a":2,"b":3}"#, 200, "-1.0"),
            (r#"{"operator":"*","a":2,"b":3.5}"#, 200, "7.0"),
            (r#"{"operator":"/","a":2,"b":4}"#, 200, "0.5"),
            (
                r#"{"operator":"/","a":2,"b":0}"#,
                400,
                "The result is not a number\n",
            ),
            (
                r#"{"operator":"%","a":2,"b":4}"#,
                400,
                "The operator must be one of + - * /\n",
            ),
            (r#"{"operator":"+","a":2}"#, 400, "A number is missing\n"),
            ("2 + 3", 400, "The body is not JSON\n"),
        ] {
            let response = client.post("/").body(sum).send().await?;
            let got = (response.status().as_u16(), response.text());
            assert_eq!(got, (status, answer.into()), "{sum}");
        }
        Ok(())
    }

    #[tokio::test]
    async fn other_paths_are_404_and_other_methods_405() -> Result<(), AppError> {
        let client = Client::new(Lint::new(app));
        assert_eq!(client.get("/nothing").await?.status(), 404);
        assert_eq!(client.request(Method::DELETE, "/").await?.status(), 405);
        Ok(())
    }
}
