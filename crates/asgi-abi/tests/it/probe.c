/* The app of `probe.rs` in C. It describes its scope and the events that it receives, then sends one
 * event of each kind. Its descriptions must be the same as those of the app in Rust. */
#include <asgi.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const AsgiHost *host;

typedef struct Task {
    AsgiReceive receive;
    AsgiSend send;
    enum { RECEIVING, CLOSING, SENDING } phase;
    int is_described; /* `text` is ready to be sent */
    size_t next;  /* the next of the events that it sends at the end */
    size_t len;
    char text[8192];
} Task;

/* ---- descriptions ---- */

static void put(Task *task, const char *bytes, size_t n) {
    if (task->len + n > sizeof task->text) abort();
    memcpy(task->text + task->len, bytes, n);
    task->len += n;
}

static void describe(Task *task, const char *name, const uint8_t *bytes, size_t n) {
    put(task, name, strlen(name));
    put(task, ": ", 2);
    for (size_t i = 0; bytes && i < n; i++) {
        char escaped[5];
        int is_plain = bytes[i] >= ' ' && bytes[i] < 0x7f && bytes[i] != '\\';
        put(task, escaped, (size_t)snprintf(escaped, 5, is_plain ? "%c" : "\\x%02x", bytes[i]));
    }
    put(task, bytes ? "\n" : "(none)\n", bytes ? 1 : 7);
}

static void describe_str(Task *task, const char *name, AsgiStr text) {
    describe(task, name, text.ptr, text.len);
}

static void describe_number(Task *task, const char *name, uint64_t number) {
    char line[64];
    put(task, line, (size_t)snprintf(line, 64, "%s: %llu\n", name, (unsigned long long)number));
}

static void describe_headers(Task *task, const AsgiHeader *headers, size_t n) {
    for (size_t i = 0; i < n; i++) {
        describe_str(task, "name", headers[i].name);
        describe_str(task, "value", headers[i].value);
        describe_number(task, "sensitive", headers[i].flags & ASGI_HEADER_SENSITIVE);
    }
}

static void describe_address(Task *task, const AsgiAddress *address) {
    describe_number(task, "address", address->kind);
    if (address->kind == ASGI_ADDRESS_UNIX) describe_str(task, "path", address->path);
    if (address->kind < ASGI_ADDRESS_IPV4) return;
    describe(task, "ip", address->ip, address->kind == ASGI_ADDRESS_IPV4 ? 4 : 16);
    describe_number(task, "port", address->port);
    describe_number(task, "flow", address->flow);
    describe_number(task, "scope_id", address->scope_id);
}

static void describe_scope(Task *task, const AsgiScope *scope) {
    if (scope->size != sizeof *scope) abort();
    describe_number(task, "scope", scope->kind);
    if (scope->kind == ASGI_SCOPE_LIFESPAN) return;
    describe_number(task, "version", scope->http_version);
    describe_str(task, "method", scope->method);
    describe_str(task, "scheme", scope->scheme);
    describe_str(task, "target", scope->target);
    describe_str(task, "path", scope->path);
    describe_str(task, "root_path", scope->root_path);
    describe_headers(task, scope->headers, scope->n_headers);
    for (size_t i = 0; i < scope->n_subprotocols; i++)
        describe_str(task, "subprotocol", scope->subprotocols[i]);
    describe_address(task, &scope->client);
    describe_address(task, &scope->server);
    describe_number(task, "extensions", scope->extensions);
    const AsgiTls *tls = scope->tls;
    if (!tls) return;
    describe_number(task, "tls", tls->version);
    describe_number(task, "cipher_suite", tls->cipher_suite);
    describe_str(task, "server_cert", tls->server_cert);
    for (size_t i = 0; i < tls->n_client_cert_chain; i++)
        describe_str(task, "client_cert", tls->client_cert_chain[i]);
    describe_str(task, "client_cert_name", tls->client_cert_name);
    describe_str(task, "client_cert_error", tls->client_cert_error);
    describe_str(task, "server_name", tls->server_name);
}

static void describe_disconnect(Task *task, AsgiDisconnect disconnect) {
    describe_number(task, "reason", disconnect.reason);
    describe_number(task, "code", disconnect.code);
}

static void describe_event(Task *task, AsgiReceiveEvent *event) {
    static const uint8_t nothing;
    describe_number(task, "event", event->kind);
    switch (event->kind) {
    case ASGI_RECEIVE_HTTP_DISCONNECT:
        describe_disconnect(task, event->disconnect);
        break;
    case ASGI_RECEIVE_WEBSOCKET_DISCONNECT:
        describe_number(task, "code", event->disconnect.code);
        describe(task, "reason", event->body.len ? event->body.ptr : &nothing, event->body.len);
        break;
    case ASGI_RECEIVE_HTTP_REQUEST:
    case ASGI_RECEIVE_WEBSOCKET_RECEIVE:
        describe_number(task, "flags", event->flags);
        describe(task, "body", event->body.len ? event->body.ptr : &nothing, event->body.len);
        describe_headers(task, event->headers, event->n_headers);
    }
    if (event->body.drop) event->body.drop(&event->body);
}

/* ---- the events that it sends ---- */

#define STR(text) { (const uint8_t *)(text), sizeof(text) - 1 }
#define BODY(text) { (const uint8_t *)(text), sizeof(text) - 1, NULL, { 0 } }
#define HEADERS .headers = headers, .n_headers = 3

static const AsgiHeader headers[] = {
    { STR("set-cookie"), STR("a=1"), 0 },
    { STR("set-cookie"), STR("b=2"), ASGI_HEADER_SENSITIVE },
    { STR("x-latin-1"), STR("caf\xe9"), 0 },
};
static const AsgiHeader links[] = {
    { STR("link"), STR("</a.css>; rel=preload"), 0 },
    { STR("link"), STR("</b.js>; rel=preload"), 0 },
};

static const AsgiSendEvent EVENTS[] = {
    { .kind = ASGI_SEND_HTTP_RESPONSE_START, .status = 299, .flags = ASGI_FLAG_TRAILERS, HEADERS },
    { .kind = ASGI_SEND_HTTP_RESPONSE_BODY, .flags = ASGI_FLAG_MORE, .body = BODY("part") },
    { .kind = ASGI_SEND_HTTP_RESPONSE_BODY },
    { .kind = ASGI_SEND_HTTP_RESPONSE_TRAILERS, .flags = ASGI_FLAG_MORE, HEADERS },
    { .kind = ASGI_SEND_HTTP_RESPONSE_PUSH, .text = STR("/style.css?v=%31"), HEADERS },
    { .kind = ASGI_SEND_HTTP_RESPONSE_EARLY_HINT, .headers = links, .n_headers = 2 },
    { .kind = ASGI_SEND_HTTP_RESPONSE_PATH_SEND, .text = STR("/srv/caf\xe9") },
    { .kind = ASGI_SEND_HTTP_RESPONSE_ZERO_COPY_SEND, .offset = 3, .count = 5,
      .flags = ASGI_FLAG_OFFSET | ASGI_FLAG_COUNT | ASGI_FLAG_MORE },
    { .kind = ASGI_SEND_HTTP_RESPONSE_ZERO_COPY_SEND },
    { .kind = ASGI_SEND_WEBSOCKET_ACCEPT, .text = STR("chat"), HEADERS },
    { .kind = ASGI_SEND_WEBSOCKET_ACCEPT },
    { .kind = ASGI_SEND_WEBSOCKET_SEND, .flags = ASGI_FLAG_TEXT, .body = BODY("gr\xc3\xbc\xc3\x9f") },
    { .kind = ASGI_SEND_WEBSOCKET_SEND, .body = BODY("\xff") },
    { .kind = ASGI_SEND_WEBSOCKET_CLOSE, .status = 4999, .text = STR("bye") },
    { .kind = ASGI_SEND_WEBSOCKET_HTTP_RESPONSE_START, .status = 401, HEADERS },
    { .kind = ASGI_SEND_WEBSOCKET_HTTP_RESPONSE_BODY, .flags = ASGI_FLAG_MORE, .body = BODY("part") },
    { .kind = ASGI_SEND_LIFESPAN_STARTUP_COMPLETE },
    { .kind = ASGI_SEND_LIFESPAN_STARTUP_FAILED, .text = STR("no database") },
    { .kind = ASGI_SEND_LIFESPAN_SHUTDOWN_COMPLETE },
    { .kind = ASGI_SEND_LIFESPAN_SHUTDOWN_FAILED, .text = STR("still running") },
};

static uint32_t start(Task *task, AsgiSendEvent event) {
    AsgiSendError error;
    int file = -1;
    if (event.kind == ASGI_SEND_HTTP_RESPONSE_ZERO_COPY_SEND) {
        event.file = file = open("/dev/null", O_RDONLY);
        if (file < 0) abort();
    }
    uint32_t code = host->send_start(&task->send, &event, &error);
    if (file >= 0) close(file);
    if (code == ASGI_FAILED) {
        if (error.text.drop) error.text.drop(&error.text);
        if (error.expected.drop) error.expected.drop(&error.expected);
    }
    return code;
}

/* ---- the app ---- */

static void free_body(AsgiBuffer *body) {
    free((void *)(uintptr_t)body->ptr);
}

/* Makes one step. READY if there is more to do. */
static uint32_t step(Task *task, const AsgiWaker *waker, int *is_over) {
    AsgiReceiveEvent event;
    AsgiDisconnect disconnect;
    AsgiSendError error;
    uint32_t code;
    if (!task->is_described && task->phase == RECEIVING) {
        code = host->receive_poll(&task->receive, waker, &event);
        if (code != ASGI_READY) return code;
        describe_event(task, &event);
        task->is_described = 1;
        if (event.kind == ASGI_RECEIVE_HTTP_DISCONNECT
            || event.kind == ASGI_RECEIVE_WEBSOCKET_DISCONNECT
            || event.kind == ASGI_RECEIVE_LIFESPAN_SHUTDOWN)
            task->phase = CLOSING;
        return code;
    }
    if (!task->is_described && task->phase == CLOSING) {
        code = host->send_poll_closed(&task->send, waker, &disconnect);
        if (code != ASGI_READY) return code;
        describe_disconnect(task, disconnect);
        task->is_described = 1;
        task->phase = SENDING;
        return code;
    }
    if (!task->is_described && task->next == sizeof EVENTS / sizeof *EVENTS) {
        *is_over = 1;
        return ASGI_READY;
    }
    code = host->send_poll_ready(&task->send, waker, &error);
    if (code != ASGI_READY) return code;
    if (!task->is_described) return start(task, EVENTS[task->next++]);
    AsgiSendEvent body_event = { .kind = ASGI_SEND_HTTP_RESPONSE_BODY, .flags = ASGI_FLAG_MORE };
    uint8_t *copy = malloc(task->len);
    if (!copy) abort();
    memcpy(copy, task->text, task->len);
    body_event.body = (AsgiBuffer){ copy, task->len, free_body, { 0 } };
    task->is_described = 0;
    task->len = 0;
    return start(task, body_event);
}

static uint32_t poll_task(AsgiTask *it, const AsgiWaker *waker, AsgiOutcome *outcome) {
    int is_over = 0;
    for (;;) {
        uint32_t code = step((Task *)it->store[0], waker, &is_over);
        if (code == ASGI_READY && !is_over) continue;
        if (code == ASGI_FAILED) *outcome = (AsgiOutcome){ .kind = ASGI_OUTCOME_FAILED };
        return code;
    }
}

static uint32_t call(void *app, const AsgiScope *scope, AsgiReceive *receive, AsgiSend *send,
                     AsgiTask *out) {
    (void)app;
    Task *task = calloc(1, sizeof *task);
    if (!task) abort();
    out->store[0] = (uintptr_t)task;
    task->receive = *receive;
    task->send = *send;
    describe_scope(task, scope);
    task->is_described = 1;
    return ASGI_READY;
}

static void drop_task(AsgiTask *it) {
    Task *task = (Task *)it->store[0];
    host->receive_drop(&task->receive);
    host->send_drop(&task->send);
    free(task);
}

static uint32_t init(const AsgiHost *given, const AsgiStart *start, void **app, AsgiBuffer *error) {
    (void)start;
    (void)error;
    host = given;
    *app = &host;
    return ASGI_READY;
}

static void stop(void *app, uint32_t grace_ms) {
    (void)app;
    (void)grace_ms;
}

const AsgiApp ASGI_APP = { .magic = ASGI_MAGIC, .major = ASGI_MAJOR, .minor = ASGI_MINOR,
    .size = sizeof(AsgiApp), .name = STR("probe"), .init = init, .call = call, .poll = poll_task,
    .drop_task = drop_task, .shutdown = stop };
