//! actix-web, with one worker.

use std::io;

use actix_web::http::header::ContentType;
use actix_web::{App, HttpResponse, HttpServer, web};

use crate::{HEADER_TIMEOUT, announce, app, listen};

pub fn run() -> io::Result<()> {
    let listener = listen()?;
    announce(listener.local_addr()?);
    let answer = || async {
        HttpResponse::Ok()
            .content_type(ContentType::plaintext())
            .body(app::BODY)
    };
    actix_web::rt::System::new().block_on(
        HttpServer::new(move || App::new().route("/", web::get().to(answer)))
            .workers(1)
            .client_request_timeout(HEADER_TIMEOUT)
            .listen(listener)?
            .run(),
    )
}
