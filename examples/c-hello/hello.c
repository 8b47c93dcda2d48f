/*
 * A small app in C. It does what examples/hello does in Rust, except for the parts that need a
 * runtime.
 *
 *     /             a complete response in two events
 *     /echo         the body of the request, sent back part by part, without a copy
 *     /stream?n=3   a response in parts, with pauses
 *     /sleep?ms=200 work that stops when the client leaves
 *     /info         what an app knows about a request
 *     /push         pushes two pages, if the client accepts pushes
 *     /error        how to fail
 *
 * A task is a state machine. `poll` continues it at its `step` until it must wait. Then the server, or
 * the thread of a timer, has the waker and wakes the task later.
 */
#define _POSIX_C_SOURCE 200809L

#include <asgi.h>

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define STR(text) ((AsgiStr){(const uint8_t *)(text), sizeof(text) - 1})

static const AsgiHost *host;

static bool str_is(AsgiStr str, const char *text) {
    return str.len == strlen(text) && memcmp(str.ptr, text, str.len) == 0;
}

/* ---- text that grows ---- */

typedef struct Text {
    char *ptr;
    size_t len, room;
} Text;

static void text_add(Text *text, const char *bytes, size_t len) {
    if (text->len + len > text->room) {
        size_t room = (text->len + len) * 2;
        char *ptr = realloc(text->ptr, room);
        if (ptr == NULL) return; /* out of memory: the text stays incomplete */
        text->ptr = ptr;
        text->room = room;
    }
    memcpy(text->ptr + text->len, bytes, len);
    text->len += len;
}

static void text_format(Text *text, const char *format, ...) {
    char line[128];
    va_list arguments;
    va_start(arguments, format);
    int len = vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    if (len > 0) text_add(text, line, (size_t)len < sizeof line ? (size_t)len : sizeof line - 1);
}

/* A JSON string. Bytes that are not ASCII are Latin-1 in header values and UTF-8 elsewhere. */
static void text_json(Text *text, AsgiStr str, bool latin_1) {
    text_add(text, "\"", 1);
    for (size_t i = 0; i < str.len; i++) {
        uint8_t byte = str.ptr[i];
        if (byte == '"' || byte == '\\' || byte < 0x20 || (latin_1 && byte >= 0x80))
            text_format(text, "\\u%04x", byte);
        else
            text_add(text, (const char *)&byte, 1);
    }
    text_add(text, "\"", 1);
}

static void buffer_free(AsgiBuffer *buffer) {
    free((void *)buffer->store[0]);
}

/* Moves the text into a buffer, which owns it from now on. */
static AsgiBuffer text_take(Text *text) {
    AsgiBuffer buffer = {(const uint8_t *)text->ptr, text->len, buffer_free, {(uintptr_t)text->ptr}};
    *text = (Text){0};
    return buffer;
}

static AsgiBuffer buffer_static(const char *text) {
    return (AsgiBuffer){(const uint8_t *)text, strlen(text), NULL, {0}};
}

static void buffer_drop(AsgiBuffer *buffer) {
    if (buffer->drop != NULL) buffer->drop(buffer);
}

/* ---- timers: a thread that sleeps, then wakes the task ---- */

typedef struct Timer {
    atomic_int holders; /* reference count: the task and the thread */
    pthread_mutex_t lock;
    const AsgiWaker *waker; /* a clone of the waker of the last poll */
    bool over;
    long ms;
} Timer;

static void timer_drop(Timer *timer) {
    if (atomic_fetch_sub(&timer->holders, 1) != 1) return;
    if (timer->waker != NULL) timer->waker->vtable->drop(timer->waker);
    pthread_mutex_destroy(&timer->lock);
    free(timer);
}

static void *timer_run(void *argument) {
    Timer *timer = argument;
    struct timespec rest = {timer->ms / 1000, timer->ms % 1000 * 1000000};
    while (nanosleep(&rest, &rest) != 0) {
    }
    pthread_mutex_lock(&timer->lock);
    timer->over = true;
    const AsgiWaker *waker = timer->waker;
    timer->waker = NULL;
    pthread_mutex_unlock(&timer->lock);
    if (waker != NULL) waker->vtable->wake(waker); /* this also frees it */
    timer_drop(timer);
    return NULL;
}

/* Starts a timer; NULL if there is no thread for it. */
static Timer *timer_start(long ms) {
    Timer *timer = calloc(1, sizeof *timer);
    if (timer == NULL) return NULL;
    timer->ms = ms;
    atomic_init(&timer->holders, 2);
    pthread_mutex_init(&timer->lock, NULL);
    pthread_t thread;
    if (pthread_create(&thread, NULL, timer_run, timer) != 0) {
        atomic_store(&timer->holders, 1);
        timer_drop(timer);
        return NULL;
    }
    pthread_detach(thread);
    return timer;
}

static bool timer_is_over(Timer *timer, const AsgiWaker *waker) {
    pthread_mutex_lock(&timer->lock);
    bool over = timer->over;
    const AsgiWaker *before = timer->waker;
    if (!over) timer->waker = waker->vtable->clone(waker);
    else timer->waker = NULL;
    pthread_mutex_unlock(&timer->lock);
    if (before != NULL) before->vtable->drop(before);
    return over;
}

/* ---- tasks ---- */

typedef struct Task Task;
typedef uint32_t Serve(Task *task, const AsgiWaker *waker);

struct Task {
    AsgiReceive receive;
    AsgiSend send;
    Serve *serve;
    int step;
    uint64_t exchange;
    /* Copies from the scope, which is valid only during `call`. */
    Text body;
    Text content_type;
    long number, line;
    bool may_push;
    Timer *timer;
    AsgiReceiveEvent part;
    bool has_part;
    /* How the task ended. */
    AsgiOutcome outcome;
    AsgiStr message;
    char text[256];
};

static uint32_t fail(Task *task, uint32_t kind, const char *message) {
    snprintf(task->text, sizeof task->text, "%s", message);
    task->message = (AsgiStr){(const uint8_t *)task->text, strlen(task->text)};
    task->outcome.kind = kind;
    task->outcome.messages = &task->message;
    task->outcome.n_messages = kind == ASGI_OUTCOME_FAILED;
    return ASGI_FAILED;
}

static uint32_t fail_to_send(Task *task, AsgiSendError *error) {
    char text[200];
    snprintf(text, sizeof text, "could not send: %.*s", (int)error->text.len,
             error->text.len == 0 ? "" : (const char *)error->text.ptr);
    uint32_t code = fail(
        task, error->kind == ASGI_SEND_ERROR_DISCONNECTED ? ASGI_OUTCOME_DISCONNECTED : ASGI_OUTCOME_FAILED,
        text);
    task->outcome.disconnect = error->disconnect;
    buffer_drop(&error->text);
    buffer_drop(&error->expected);
    return code;
}

/* Waits for room for one event. */
static uint32_t ready(Task *task, const AsgiWaker *waker) {
    AsgiSendError error;
    uint32_t code = host->send_poll_ready(&task->send, waker, &error);
    return code == ASGI_FAILED ? fail_to_send(task, &error) : code;
}

/* Sends one event. Only after `ready` returned READY. */
static uint32_t send_event(Task *task, AsgiSendEvent event) {
    AsgiSendError error;
    uint32_t code = host->send_start(&task->send, &event, &error);
    return code == ASGI_FAILED ? fail_to_send(task, &error) : code;
}

static uint32_t send_start(Task *task, uint32_t status, AsgiStr content_type) {
    AsgiHeader header = {STR("content-type"), content_type, 0};
    return send_event(task, (AsgiSendEvent){.kind = ASGI_SEND_HTTP_RESPONSE_START,
                                            .status = status,
                                            .headers = &header,
                                            .n_headers = 1});
}

static uint32_t send_body(Task *task, AsgiBuffer body, uint32_t flags) {
    return send_event(task, (AsgiSendEvent){.kind = ASGI_SEND_HTTP_RESPONSE_BODY,
                                            .flags = flags,
                                            .body = body});
}

/* Continues with the next step if this one is ready; otherwise waits or ends. */
#define STEP(code)                                                                                 \
    do {                                                                                           \
        uint32_t step_code = (code);                                                               \
        if (step_code != ASGI_READY) return step_code;                                             \
        task->step++;                                                                              \
    } while (0)

#define PLAIN STR("text/plain; charset=utf-8")
#define JSON STR("application/json")

/* A complete response. */
static uint32_t respond(Task *task, const AsgiWaker *waker, uint32_t status, AsgiStr content_type) {
    if (task->step == 0) STEP(ready(task, waker));
    if (task->step == 1) STEP(send_start(task, status, content_type));
    if (task->step == 2) STEP(ready(task, waker));
    return send_body(task, text_take(&task->body), 0);
}

static uint32_t serve_text(Task *task, const AsgiWaker *waker) {
    return respond(task, waker, 200, PLAIN);
}

static uint32_t serve_json(Task *task, const AsgiWaker *waker) {
    return respond(task, waker, 200, JSON);
}

static uint32_t serve_not_found(Task *task, const AsgiWaker *waker) {
    return respond(task, waker, 404, PLAIN);
}

static uint32_t serve_error(Task *task, const AsgiWaker *waker) {
    (void)waker;
    return fail(task, ASGI_OUTCOME_FAILED, "the client asked for an error");
}

static uint32_t serve_abort(Task *task, const AsgiWaker *waker) {
    (void)waker;
    return fail(task, ASGI_OUTCOME_ABORTED, "");
}

static uint32_t serve_echo(Task *task, const AsgiWaker *waker) {
    AsgiStr type = {(const uint8_t *)task->content_type.ptr, task->content_type.len};
    if (type.len == 0) type = STR("application/octet-stream");
    if (task->step == 0) STEP(ready(task, waker));
    if (task->step == 1) STEP(send_start(task, 200, type));
    for (;;) {
        if (!task->has_part) {
            uint32_t code = host->receive_poll(&task->receive, waker, &task->part);
            if (code != ASGI_READY) return code;
            task->has_part = true;
            /* The client left before its body was complete, so there is no one to answer. */
            if (task->part.kind != ASGI_RECEIVE_HTTP_REQUEST) return ASGI_READY;
        }
        uint32_t code = ready(task, waker);
        if (code != ASGI_READY) return code;
        uint32_t more = task->part.flags & ASGI_FLAG_MORE;
        task->has_part = false; /* the host gets the body back */
        code = send_body(task, task->part.body, more);
        if (code != ASGI_READY || !more) return code;
    }
}

static uint32_t serve_stream(Task *task, const AsgiWaker *waker) {
    if (task->step == 0) STEP(ready(task, waker));
    if (task->step == 1) STEP(send_start(task, 200, PLAIN));
    for (;;) {
        if (task->timer != NULL) {
            if (!timer_is_over(task->timer, waker)) return ASGI_PENDING;
            timer_drop(task->timer);
            task->timer = NULL;
        }
        uint32_t code = ready(task, waker);
        if (code != ASGI_READY) return code;
        if (task->line == task->number) return send_body(task, buffer_static(""), 0);
        text_format(&task->body, "line %ld\n", ++task->line);
        code = send_body(task, text_take(&task->body), ASGI_FLAG_MORE);
        if (code != ASGI_READY) return code;
        task->timer = timer_start(10);
        if (task->timer == NULL) return fail(task, ASGI_OUTCOME_FAILED, "there is no thread for a timer");
    }
}

static uint32_t serve_sleep(Task *task, const AsgiWaker *waker) {
    if (task->timer == NULL && task->line == 0) {
        task->line = 1;
        task->timer = timer_start(task->number);
        if (task->timer == NULL) return fail(task, ASGI_OUTCOME_FAILED, "there is no thread for a timer");
    }
    if (task->timer != NULL) {
        AsgiDisconnect disconnect;
        uint32_t code = host->send_poll_closed(&task->send, waker, &disconnect);
        if (code != ASGI_PENDING) return code; /* the client is gone */
        if (!timer_is_over(task->timer, waker)) return ASGI_PENDING;
        timer_drop(task->timer);
        task->timer = NULL;
        text_format(&task->body, "slept %ld ms\n", task->number);
    }
    return respond(task, waker, 200, PLAIN);
}

/* The server calls the app again for each push that it takes. A refused push is not an error: the client
 * asks for that page itself. A mounted app must put its root path before its paths. */
static uint32_t serve_push(Task *task, const AsgiWaker *waker) {
    const AsgiStr paths[] = {STR("/stream?n=2"), STR("/info")};
    const long n_paths = task->may_push ? sizeof paths / sizeof *paths : 0;
    while (task->line < n_paths) {
        uint32_t code = ready(task, waker);
        if (code != ASGI_READY) return code;
        AsgiSendEvent event = {.kind = ASGI_SEND_HTTP_RESPONSE_PUSH, .text = paths[task->line++]};
        AsgiSendError error;
        code = host->send_start(&task->send, &event, &error);
        if (code == ASGI_FAILED && error.kind == ASGI_SEND_ERROR_REFUSED) {
            buffer_drop(&error.text);
            buffer_drop(&error.expected);
            continue;
        }
        if (code == ASGI_FAILED) return fail_to_send(task, &error);
        if (code != ASGI_READY) return code;
        task->number++;
    }
    if (task->body.len == 0 && task->step == 0) text_format(&task->body, "pushed %ld\n", task->number);
    return respond(task, waker, 200, PLAIN);
}

static uint32_t serve_lifespan(Task *task, const AsgiWaker *waker) {
    for (;;) {
        AsgiReceiveEvent event;
        if (task->step == 0) {
            STEP(host->receive_poll(&task->receive, waker, &event));
            task->number = event.kind;
            buffer_drop(&event.body);
        }
        uint32_t code = ready(task, waker);
        if (code != ASGI_READY) return code;
        bool is_start = task->number == ASGI_RECEIVE_LIFESPAN_STARTUP;
        uint32_t kind =
            is_start ? ASGI_SEND_LIFESPAN_STARTUP_COMPLETE : ASGI_SEND_LIFESPAN_SHUTDOWN_COMPLETE;
        code = send_event(task, (AsgiSendEvent){.kind = kind});
        if (code != ASGI_READY || !is_start) return code;
        task->step = 0;
    }
}

static uint32_t serve_unsupported(Task *task, const AsgiWaker *waker) {
    (void)waker;
    return fail(task, ASGI_OUTCOME_UNSUPPORTED, "");
}

/* ---- from a scope to a task ---- */

static long query_number(AsgiStr target, const char *name, long otherwise) {
    size_t len = strlen(name);
    for (size_t i = 0; i + len + 1 < target.len; i++) {
        bool begins = target.ptr[i] == '?' || target.ptr[i] == '&';
        if (!begins || memcmp(target.ptr + i + 1, name, len) != 0) continue;
        size_t at = i + 1 + len;
        if (at >= target.len || target.ptr[at] != '=') continue;
        long number = 0;
        size_t digits = 0;
        while (++at < target.len && target.ptr[at] >= '0' && target.ptr[at] <= '9' && digits++ < 9)
            number = number * 10 + (target.ptr[at] - '0');
        if (digits != 0) return number;
    }
    return otherwise;
}

static void info(Text *text, const AsgiScope *scope) {
    size_t raw = 0;
    while (raw < scope->target.len && scope->target.ptr[raw] != '?') raw++;
    AsgiStr raw_path = {scope->target.ptr, raw};
    AsgiStr query = {NULL, 0};
    if (raw < scope->target.len)
        query = (AsgiStr){scope->target.ptr + raw + 1, scope->target.len - raw - 1};
    const char *version = scope->http_version == ASGI_HTTP_2    ? "HTTP/2.0"
                          : scope->http_version == ASGI_HTTP_10 ? "HTTP/1.0"
                                                                : "HTTP/1.1";
    text_format(text, "{\"version\":\"%s\"", version);
    const struct {
        const char *name;
        AsgiStr value;
    } texts[] = {{"method", scope->method},       {"scheme", scope->scheme},
                 {"path", scope->path},           {"raw_path", raw_path},
                 {"query_string", query},         {"root_path", scope->root_path}};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        text_format(text, ",\"%s\":", texts[i].name);
        text_json(text, texts[i].value, false);
    }
    text_format(text, ",\"headers\":[");
    for (size_t i = 0; i < scope->n_headers; i++) {
        text_format(text, i == 0 ? "[" : ",[");
        text_json(text, scope->headers[i].name, false);
        text_format(text, ",");
        text_json(text, scope->headers[i].value, true);
        text_format(text, "]");
    }
    text_format(text, "]}");
}

static Serve *route(Task *task, const AsgiScope *scope) {
    AsgiStr path = scope->path;
    if (path.len >= scope->root_path.len) {
        path.ptr += scope->root_path.len;
        path.len -= scope->root_path.len;
    }
    if (str_is(path, "/")) {
        text_format(&task->body, "Hello, world!\n");
        return serve_text;
    }
    if (str_is(path, "/echo")) {
        for (size_t i = 0; i < scope->n_headers; i++) {
            AsgiStr value = scope->headers[i].value;
            if (str_is(scope->headers[i].name, "content-type"))
                text_add(&task->content_type, (const char *)value.ptr, value.len);
        }
        return serve_echo;
    }
    if (str_is(path, "/stream")) {
        task->number = query_number(scope->target, "n", 3);
        return serve_stream;
    }
    if (str_is(path, "/sleep")) {
        task->number = query_number(scope->target, "ms", 200);
        return serve_sleep;
    }
    if (str_is(path, "/info")) {
        info(&task->body, scope);
        return serve_json;
    }
    if (str_is(path, "/push")) {
        task->may_push = scope->extensions & ASGI_EXTENSION_PUSH;
        return serve_push;
    }
    if (str_is(path, "/error")) return serve_error;
    if (str_is(path, "/abort")) return serve_abort;
    text_format(&task->body, "Not found\n");
    return serve_not_found;
}

/* ---- the functions that the server calls ---- */

static void say(uint32_t level, uint64_t exchange, const char *message) {
    AsgiLogLine line = {.level = level,
                        .exchange = exchange,
                        .target = STR("c_hello"),
                        .message = {(const uint8_t *)message, strlen(message)}};
    if (host->log_enabled(level, line.target) & ASGI_LOG_ENABLED) host->log(&line);
}

static uint32_t app_init(const AsgiHost *given, const AsgiStart *start, void **app,
                         AsgiBuffer *error) {
    if (given->magic != ASGI_MAGIC || given->major != ASGI_MAJOR || given->minor != ASGI_MINOR) {
        *error = buffer_static("the server has another version of the app ABI");
        return ASGI_FAILED;
    }
    if (start->config.ptr != NULL) {
        *error = buffer_static("the app takes no configuration, but got one");
        return ASGI_FAILED;
    }
    host = given;
    *app = (void *)given; /* must not be NULL; this app has no data */
    say(ASGI_LOG_DEBUG, 0, "the app is made");
    return ASGI_READY;
}

static uint32_t app_call(void *app, const AsgiScope *scope, AsgiReceive *receive, AsgiSend *send,
                         AsgiTask *out) {
    (void)app;
    Task *task = calloc(1, sizeof *task);
    if (task == NULL) {
        host->receive_drop(receive);
        host->send_drop(send);
        return ASGI_FAILED;
    }
    out->store[0] = (uintptr_t)task;
    task->receive = *receive;
    task->send = *send;
    if (scope->kind == ASGI_SCOPE_LIFESPAN) {
        task->serve = serve_lifespan;
    } else if (scope->kind == ASGI_SCOPE_HTTP) {
        task->exchange = scope->exchange;
        task->serve = route(task, scope);
    } else {
        task->serve = serve_unsupported;
    }
    return ASGI_READY;
}

static uint32_t app_poll(AsgiTask *argument, const AsgiWaker *waker, AsgiOutcome *outcome) {
    Task *task = (Task *)argument->store[0];
    uint32_t code = task->serve(task, waker);
    if (code == ASGI_PANICKED) /* the server's half panicked, so the task ends */
        code = fail(task, ASGI_OUTCOME_FAILED, "the server's half panicked");
    if (code == ASGI_FAILED) *outcome = task->outcome;
    if (code == ASGI_READY) say(ASGI_LOG_TRACE, task->exchange, "served");
    return code;
}

static void app_drop_task(AsgiTask *argument) {
    Task *task = (Task *)argument->store[0];
    host->receive_drop(&task->receive);
    host->send_drop(&task->send);
    if (task->timer != NULL) timer_drop(task->timer); /* its thread continues to sleep, then frees the timer */
    if (task->has_part) buffer_drop(&task->part.body);
    free(task->body.ptr);
    free(task->content_type.ptr);
    free(task);
}

static void app_shutdown(void *app, uint32_t grace_ms) {
    (void)app;
    (void)grace_ms;
}

__attribute__((visibility("default"))) const AsgiApp ASGI_APP = {
    .magic = ASGI_MAGIC,
    .major = ASGI_MAJOR,
    .minor = ASGI_MINOR,
    .size = sizeof(AsgiApp),
    .name = {(const uint8_t *)"c-hello", 7},
    .version = {(const uint8_t *)"0.1.0", 5},
    .toolchain = {(const uint8_t *)__VERSION__, sizeof(__VERSION__) - 1},
    .init = app_init,
    .call = app_call,
    .poll = app_poll,
    .drop_task = app_drop_task,
    .shutdown = app_shutdown,
};
