/*
 * The app ABI of Ferricorn: what an app in a shared library and the server that
 * loads it have to do with each other. An app in C includes this file; one in
 * Rust uses the crate asgi-abi, whose module `abi` is the same in Rust.
 *
 * A library exports one symbol:
 *
 *     const AsgiApp ASGI_APP = { .magic = ASGI_MAGIC, ... };
 *
 * and may export further apps as ASGI_APP_name: `ferricorn libapp.so:name` serves one.
 *
 * Rules that hold for all of it:
 *
 * - Who made a thing frees it: a buffer carries its owner's `drop`, a handle is
 *   given back.
 * - What is borrowed (AsgiStr, arrays) is valid for the call that it is an
 *   argument of, unless its comment says otherwise.
 * - No panic and no exception crosses. A side that caught one answers
 *   ASGI_PANICKED.
 * - Wakers and buffers may be used and dropped on any thread. A handle or a task
 *   is used by one thread at a time, not always the same.
 * - A handle or a task is a few words of its maker's own. Whoever owns it keeps
 *   them where it likes, may move them between two calls, and passes a pointer.
 * - A library stays loaded until the process ends.
 * - What is reserved is zero.
 * - A caller need not have set what it passes to be filled in; the callee writes
 *   all of it, and only if it answers with the code that is named there.
 *
 * The version's first number is 0: server and app must have the same two numbers.
 */
#ifndef ASGI_H
#define ASGI_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The first eight bytes of AsgiApp and AsgiHost; "ASGI_APP" in a little-endian file. */
#define ASGI_MAGIC UINT64_C(0x5050415f49475341)
#define ASGI_MAJOR 0
#define ASGI_MINOR 5

/* What a function answers. */
#define ASGI_PENDING 0  /* the answer will come later: the waker is woken then */
#define ASGI_READY 1    /* done */
#define ASGI_FAILED 2   /* it could not be done; an argument says why */
#define ASGI_PANICKED 3 /* the callee panicked */

/* ---- texts, fields, buffers ---- */

/* Borrowed bytes; text is UTF-8, without a NUL at its end. A NULL `ptr` says that
 * there is no text at all, where that is possible. */
typedef struct AsgiStr {
    const uint8_t *ptr;
    size_t len;
} AsgiStr;

#define ASGI_HEADER_SENSITIVE UINT64_C(1) /* a secret: not to be logged or put in a table */

/* One field of a header or of trailers, borrowed. Repeated fields come one by one. */
typedef struct AsgiHeader {
    AsgiStr name; /* in lower case */
    AsgiStr value;
    uint64_t flags; /* ASGI_HEADER_... */
} AsgiHeader;

/* Owned bytes. Whoever holds it calls `drop` once, or passes it on. The struct may
 * be moved; what `ptr` points to may not. */
typedef struct AsgiBuffer {
    const uint8_t *ptr;
    size_t len;
    void (*drop)(struct AsgiBuffer *buffer); /* NULL where nothing is to be freed */
    uintptr_t store[4];                      /* the maker's own */
} AsgiBuffer;

/* ---- wakers ---- */

/* One word, so that each side can put its own behind it. One that is an argument is
 * lent for the call: `clone` it to keep it. */
typedef struct AsgiWaker {
    const struct AsgiWakerVtable *vtable;
} AsgiWaker;

typedef struct AsgiWakerVtable {
    const AsgiWaker *(*clone)(const AsgiWaker *waker); /* a waker of the caller's own */
    void (*wake)(const AsgiWaker *waker);              /* wakes, and gives back one's own */
    void (*wake_by_ref)(const AsgiWaker *waker);       /* wakes */
    void (*drop)(const AsgiWaker *waker);              /* gives back one's own */
} AsgiWakerVtable;

/* ---- what an app is called for ---- */

#define ASGI_SCOPE_HTTP 1
#define ASGI_SCOPE_WEBSOCKET 2
#define ASGI_SCOPE_LIFESPAN 3

#define ASGI_HTTP_10 10
#define ASGI_HTTP_11 11
#define ASGI_HTTP_2 20

#define ASGI_EXTENSION_PUSH UINT64_C(1)
#define ASGI_EXTENSION_EARLY_HINT UINT64_C(2)
#define ASGI_EXTENSION_TRAILERS UINT64_C(4)
#define ASGI_EXTENSION_PATH_SEND UINT64_C(8)
#define ASGI_EXTENSION_ZERO_COPY_SEND UINT64_C(16)
#define ASGI_EXTENSION_WEBSOCKET_HTTP_RESPONSE UINT64_C(64)

#define ASGI_ADDRESS_NONE 0 /* nothing is known */
#define ASGI_ADDRESS_UNIX 1 /* `path` where it has one, else NULL */
#define ASGI_ADDRESS_IPV4 4 /* the first four bytes of `ip`, and `port` */
#define ASGI_ADDRESS_IPV6 6 /* all of `ip`, and `port` */

/* One end of a connection. */
typedef struct AsgiAddress {
    uint32_t kind; /* ASGI_ADDRESS_... */
    uint16_t port;
    uint16_t reserved;
    uint8_t ip[16]; /* in network order */
    uint32_t flow;     /* of IPv6 */
    uint32_t scope_id; /* of IPv6: an interface's number */
    AsgiStr path;
} AsgiAddress;

/* What TLS knows of a connection. Texts that are not known are NULL. */
typedef struct AsgiTls {
    uint32_t version;      /* as on the wire: 0x0304 for TLS 1.3; 0 if it is not known */
    uint32_t cipher_suite; /* 0 if it is not known */
    AsgiStr server_cert;   /* PEM */
    const AsgiStr *client_cert_chain; /* PEM, the client's own first */
    size_t n_client_cert_chain;
    AsgiStr client_cert_name;
    AsgiStr client_cert_error;
    AsgiStr server_name;
} AsgiTls;

/* All of it is valid for the call of `call` alone. A lifespan has `size` and `kind`
 * and nothing else. */
typedef struct AsgiScope {
    uint32_t size; /* of this struct */
    uint32_t kind; /* ASGI_SCOPE_... */
    uint32_t http_version; /* ASGI_HTTP_... */
    uint32_t reserved;
    AsgiStr method;    /* NULL for a WebSocket */
    AsgiStr scheme;
    AsgiStr target;    /* path and query as on the wire */
    AsgiStr path;      /* decoded, `root_path` included */
    AsgiStr root_path; /* where the app is mounted; mostly empty */
    const AsgiHeader *headers;
    size_t n_headers;
    const AsgiStr *subprotocols; /* of a WebSocket: what its client offers, the best first */
    size_t n_subprotocols;
    AsgiAddress client;
    AsgiAddress server;
    uint64_t exchange;   /* its number in the server's log, for AsgiLogLine; or 0 */
    uint64_t extensions; /* ASGI_EXTENSION_...: what the connection can do now */
    const AsgiTls *tls;  /* NULL without TLS */
} AsgiScope;

/* ---- what an app receives ---- */

#define ASGI_DISCONNECT_COMPLETE 0 /* the response is complete */
#define ASGI_DISCONNECT_CLOSED 1   /* the client closed its side */
#define ASGI_DISCONNECT_LOST 2     /* the connection is broken */
#define ASGI_DISCONNECT_RESET 3    /* the client cancelled this exchange, with `code` */
#define ASGI_DISCONNECT_TIMED_OUT 4
#define ASGI_DISCONNECT_PROTOCOL_ERROR 5
#define ASGI_DISCONNECT_SHUTDOWN 6 /* the server stops */

/* How an exchange came to its end. */
typedef struct AsgiDisconnect {
    uint32_t reason; /* ASGI_DISCONNECT_... */
    uint32_t code;   /* of a reset, or of a WebSocket's close frame */
} AsgiDisconnect;

#define ASGI_FLAG_MORE 1     /* more of the body, or of the trailers, is to come */
#define ASGI_FLAG_TRAILERS 2 /* trailers are in it (request) or promised (response start) */
#define ASGI_FLAG_TEXT 4     /* a WebSocket's message is text, UTF-8; else it is binary */
#define ASGI_FLAG_OFFSET 8   /* zerocopysend begins at `offset`, not at the file's position */
#define ASGI_FLAG_COUNT 16   /* zerocopysend ends after `count` bytes, not with the file */

#define ASGI_RECEIVE_HTTP_REQUEST 1    /* body; trailers in headers */
#define ASGI_RECEIVE_HTTP_DISCONNECT 2 /* disconnect */
#define ASGI_RECEIVE_WEBSOCKET_CONNECT 16
#define ASGI_RECEIVE_WEBSOCKET_RECEIVE 17    /* body, FLAG_TEXT */
#define ASGI_RECEIVE_WEBSOCKET_DISCONNECT 18 /* disconnect.code; body: the reason, text */
#define ASGI_RECEIVE_LIFESPAN_STARTUP 32
#define ASGI_RECEIVE_LIFESPAN_SHUTDOWN 33

typedef struct AsgiReceiveEvent {
    uint32_t kind;  /* ASGI_RECEIVE_... */
    uint32_t flags; /* ASGI_FLAG_... */
    AsgiDisconnect disconnect;
    AsgiBuffer body;           /* the app's from now on */
    const AsgiHeader *headers; /* valid until the next call with this handle */
    size_t n_headers;
} AsgiReceiveEvent;

/* ---- what an app sends ---- */

#define ASGI_SEND_HTTP_RESPONSE_START 1      /* status, headers, FLAG_TRAILERS */
#define ASGI_SEND_HTTP_RESPONSE_BODY 2       /* body, FLAG_MORE */
#define ASGI_SEND_HTTP_RESPONSE_TRAILERS 3   /* headers, FLAG_MORE */
#define ASGI_SEND_HTTP_RESPONSE_PUSH 4       /* text: path and query; headers */
#define ASGI_SEND_HTTP_RESPONSE_EARLY_HINT 5 /* headers: its link fields */
#define ASGI_SEND_HTTP_RESPONSE_PATH_SEND 6  /* text: an absolute path, bytes as the system has it */
#define ASGI_SEND_HTTP_RESPONSE_ZERO_COPY_SEND 7 /* file, FLAG_OFFSET, FLAG_COUNT, FLAG_MORE */
#define ASGI_SEND_WEBSOCKET_ACCEPT 16        /* text: the subprotocol, or NULL; headers */
#define ASGI_SEND_WEBSOCKET_SEND 17          /* body, FLAG_TEXT */
#define ASGI_SEND_WEBSOCKET_CLOSE 18         /* status: the code; text: the reason */
#define ASGI_SEND_WEBSOCKET_HTTP_RESPONSE_START 19 /* status, headers */
#define ASGI_SEND_WEBSOCKET_HTTP_RESPONSE_BODY 20  /* body, FLAG_MORE */
#define ASGI_SEND_LIFESPAN_STARTUP_COMPLETE 32
#define ASGI_SEND_LIFESPAN_STARTUP_FAILED 33 /* text: why */
#define ASGI_SEND_LIFESPAN_SHUTDOWN_COMPLETE 34
#define ASGI_SEND_LIFESPAN_SHUTDOWN_FAILED 35 /* text: why */

typedef struct AsgiSendEvent {
    uint32_t kind;   /* ASGI_SEND_... */
    uint32_t flags;  /* ASGI_FLAG_... */
    uint32_t status; /* of a response, 200 to 999; or the code of a close */
    int32_t file;    /* a descriptor, lent for the call: the host that takes the event
                        duplicates it, so both have one position in the file; close yours
                        whenever you like. 0 in other events */
    uint64_t offset; /* where in the file it begins */
    uint64_t count;  /* how much of it */
    AsgiBuffer body; /* the host's from now on, whatever it answers */
    AsgiStr text;
    const AsgiHeader *headers;
    size_t n_headers;
} AsgiSendEvent;

#define ASGI_SEND_ERROR_DISCONNECTED 1 /* the client is gone, as `disconnect` says */
#define ASGI_SEND_ERROR_MISUSE 2       /* the app sent `text`, `expected` was expected */
#define ASGI_SEND_ERROR_REFUSED 3      /* this connection cannot do it; `text` says why */
#define ASGI_SEND_ERROR_OVER 4         /* the app had returned */

/* Why an event was not taken. Both buffers are the app's from now on. */
typedef struct AsgiSendError {
    uint32_t kind; /* ASGI_SEND_ERROR_... */
    uint32_t reserved;
    AsgiDisconnect disconnect;
    AsgiBuffer text;
    AsgiBuffer expected;
} AsgiSendError;

/* ---- how a task ends ---- */

#define ASGI_OUTCOME_FAILED 1       /* an error of the app's */
#define ASGI_OUTCOME_UNSUPPORTED 2  /* the app does not serve this kind of scope */
#define ASGI_OUTCOME_DISCONNECTED 3 /* it gave up because its client left */

/* Of a task that did not end well. Its texts are valid until the task is dropped. */
typedef struct AsgiOutcome {
    uint32_t kind; /* ASGI_OUTCOME_...; of no meaning with ASGI_PANICKED */
    uint32_t reserved;
    AsgiDisconnect disconnect;
    const AsgiStr *messages; /* the error and its causes, the outermost first; what
                                `kind` says is not among them */
    size_t n_messages;
} AsgiOutcome;

/* ---- what the host offers ---- */

/* The host's two halves of an exchange. They are the library's once it was called,
 * and each is given back with its drop, also after the task was dropped. */
typedef struct AsgiReceive {
    uintptr_t store[4];
} AsgiReceive;
typedef struct AsgiSend {
    uintptr_t store[4];
} AsgiSend;

/* One call of an app: owned by the host once the library has made it. */
typedef struct AsgiTask {
    uintptr_t store[8];
} AsgiTask;

#define ASGI_LOG_ERROR 1
#define ASGI_LOG_WARN 2
#define ASGI_LOG_INFO 3
#define ASGI_LOG_DEBUG 4
#define ASGI_LOG_TRACE 5

#define ASGI_LOG_ENABLED 1   /* a line would be written now */
#define ASGI_LOG_ASK_AGAIN 2 /* the answer may be another one the next time */

#define ASGI_LOG_FIELD_PLAIN UINT64_C(1) /* no text but a number, a truth value, or what is
                                            formatted already */

typedef struct AsgiLogField {
    AsgiStr name;
    AsgiStr value;
    uint64_t flags; /* ASGI_LOG_FIELD_... */
} AsgiLogField;

/* One line in the server's log. */
typedef struct AsgiLogLine {
    uint32_t level; /* ASGI_LOG_ERROR to ASGI_LOG_TRACE */
    uint32_t reserved;
    uint64_t exchange; /* of the scope that it is about; 0 if none */
    AsgiStr target;    /* the part of the app that speaks, such as "shop::db" */
    AsgiStr message;
    const AsgiLogField *fields;
    size_t n_fields;
} AsgiLogLine;

/* Valid until the process ends. */
typedef struct AsgiHost {
    uint64_t magic;
    uint16_t major;
    uint16_t minor;
    uint32_t size; /* of this struct */

    /* Waits for the next event: PENDING, READY with the event, or PANICKED. After the
     * last event of a protocol it yields that one again, at once. */
    uint32_t (*receive_poll)(AsgiReceive *receive, const AsgiWaker *waker,
                             AsgiReceiveEvent *event);
    void (*receive_drop)(AsgiReceive *receive);

    /* Waits for room for one event: PENDING, READY, FAILED with the error, or
     * PANICKED. */
    uint32_t (*send_poll_ready)(AsgiSend *send, const AsgiWaker *waker, AsgiSendError *error);
    /* Takes one event, only after send_poll_ready was READY: READY, FAILED with the
     * error, or PANICKED. */
    uint32_t (*send_start)(AsgiSend *send, AsgiSendEvent *event, AsgiSendError *error);
    /* Waits until nobody will see another event: PENDING, READY with the reason, or
     * PANICKED. */
    uint32_t (*send_poll_closed)(AsgiSend *send, const AsgiWaker *waker,
                                 AsgiDisconnect *disconnect);
    void (*send_drop)(AsgiSend *send);

    /* Whether anybody reads this level of this target, or, if that is NULL, of any:
     * ASGI_LOG_ENABLED and ASGI_LOG_ASK_AGAIN. Without the latter the answer may be
     * remembered. */
    uint32_t (*log_enabled)(uint32_t level, AsgiStr target);
    /* Writes one line into the server's log, if anybody reads it. */
    void (*log)(const AsgiLogLine *line);
} AsgiHost;

/* ---- what a library exports, under the name ASGI_APP ---- */

/* What an app is made with. Valid for the call of init. */
typedef struct AsgiStart {
    uint32_t size;    /* of this struct */
    uint32_t threads; /* how many the app may well use, 0 if it shall choose */
    AsgiStr config;   /* what the operator has to say to the app (--app-config); or NULL */
} AsgiStart;

/* Valid until the process ends. No function may be NULL. */
typedef struct AsgiApp {
    uint64_t magic; /* ASGI_MAGIC */
    uint16_t major; /* ASGI_MAJOR */
    uint16_t minor; /* ASGI_MINOR */
    uint32_t size;  /* sizeof(AsgiApp) */
    AsgiStr name;
    AsgiStr version;
    AsgiStr toolchain; /* what compiled it, for people */
    uint64_t flags;    /* zero: none is defined yet */

    /* Makes the app; called before anything else. READY with the app, which must not
     * be NULL, or FAILED with a message. */
    uint32_t (*init)(const AsgiHost *host, const AsgiStart *start, void **app,
                     AsgiBuffer *error);
    /* Makes a task that serves one scope; on any thread, also while other calls run.
     * READY with the task, or FAILED. Takes both halves, whatever it answers: it moves
     * them out of what the pointers lend for this call. */
    uint32_t (*call)(void *app, const AsgiScope *scope, AsgiReceive *receive, AsgiSend *send,
                     AsgiTask *task);
    /* Goes on with a task: PENDING, READY, FAILED or PANICKED, the last two with the
     * outcome. Whatever is not PENDING is the end: it is not polled again. */
    uint32_t (*poll)(AsgiTask *task, const AsgiWaker *waker, AsgiOutcome *outcome);
    /* Frees what a task holds; one that has not ended is cancelled. */
    void (*drop_task)(AsgiTask *task);
    /* Stops the app's own threads and waits for them, so many milliseconds at most. The
     * last call but for drop_task. */
    void (*shutdown)(void *app, uint32_t grace_ms);
} AsgiApp;

#ifdef __cplusplus
}
#endif

#endif
