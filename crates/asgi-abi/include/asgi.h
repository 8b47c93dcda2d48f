/*
 * The app ABI of Ferricorn: the interface between an app in a shared library and the
 * server that loads it. An app in C includes this file. An app in Rust uses the crate
 * asgi-abi; its module `abi` is the same in Rust.
 *
 * A library exports one symbol:
 *
 *     const AsgiApp ASGI_APP = { .magic = ASGI_MAGIC, ... };
 *
 * It may export more apps as ASGI_APP_name: `ferricorn libapp.so:name` serves one.
 *
 * Rules for the whole interface:
 *
 * - The side that made a thing frees it. The other side calls the `drop` of a buffer,
 *   and gives a handle back.
 * - Borrowed data (AsgiStr, arrays) is an argument of a call and valid during that call,
 *   unless its comment says otherwise.
 * - No panic and no exception crosses. A function that caught one returns ASGI_PANICKED.
 * - Any thread may use and drop wakers and buffers. One thread at a time may use a handle
 *   or a task, and not always the same thread.
 * - A handle or a task is a few words of data of the side that made it. The owner stores
 *   them where it likes, may move them between two calls, and passes a pointer.
 * - A library stays loaded until the process ends.
 * - Reserved members are zero.
 * - The caller need not initialise an output parameter. The callee writes all of it, but
 *   only if it returns the code that the function's comment names.
 *
 * The first number of the version is 0, so server and app must have the same two numbers.
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
#define ASGI_MINOR 7

/* Return values. */
#define ASGI_PENDING 0  /* not ready; the callee wakes the waker later */
#define ASGI_READY 1    /* success */
#define ASGI_FAILED 2   /* failure; an output parameter says why */
#define ASGI_PANICKED 3 /* the callee panicked */
#define ASGI_WORKING 4  /* of poll: as PENDING, and a thread of the library runs the app now */
#define ASGI_DECLINED 5 /* of send_respond: the half takes no complete responses */

/* ---- texts, headers, buffers ---- */

/* Borrowed bytes. Text is UTF-8, without a NUL at its end. If a text is optional, a NULL
 * `ptr` means that there is none. */
typedef struct AsgiStr {
    const uint8_t *ptr;
    size_t len;
} AsgiStr;

#define ASGI_HEADER_SENSITIVE UINT64_C(1) /* a secret: do not log it, do not index it (HPACK) */

/* One header or one trailer, borrowed. A header that repeats is one element each time. */
typedef struct AsgiHeader {
    AsgiStr name; /* in lower case */
    AsgiStr value;
    uint64_t flags; /* ASGI_HEADER_... */
} AsgiHeader;

/* Owned bytes. The owner calls `drop` once, or passes the buffer on. The struct may move;
 * the bytes at `ptr` may not. */
typedef struct AsgiBuffer {
    const uint8_t *ptr;
    size_t len;
    void (*drop)(struct AsgiBuffer *buffer); /* NULL if there is nothing to free */
    uintptr_t store[4];                      /* private data of the side that made it */
} AsgiBuffer;

/* ---- wakers ---- */

/* The first word of a waker; each side can put its own data after it. A waker that is an
 * argument is borrowed for the call: `clone` it to keep it. */
typedef struct AsgiWaker {
    const struct AsgiWakerVtable *vtable;
} AsgiWaker;

typedef struct AsgiWakerVtable {
    const AsgiWaker *(*clone)(const AsgiWaker *waker); /* makes a waker that the caller owns */
    void (*wake)(const AsgiWaker *waker);              /* wakes, and frees an owned waker */
    void (*wake_by_ref)(const AsgiWaker *waker);       /* wakes */
    void (*drop)(const AsgiWaker *waker);              /* frees an owned waker */
} AsgiWakerVtable;

/* ---- scopes ---- */

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

#define ASGI_ADDRESS_NONE 0 /* unknown */
#define ASGI_ADDRESS_UNIX 1 /* `path`, or NULL if the socket has no path */
#define ASGI_ADDRESS_IPV4 4 /* the first four bytes of `ip`, and `port` */
#define ASGI_ADDRESS_IPV6 6 /* all of `ip`, and `port` */

/* The address of one end of a connection. */
typedef struct AsgiAddress {
    uint32_t kind; /* ASGI_ADDRESS_... */
    uint16_t port;
    uint16_t reserved;
    uint8_t ip[16];    /* in network byte order */
    uint32_t flow;     /* IPv6: the flow information */
    uint32_t scope_id; /* IPv6: the number of an interface */
    AsgiStr path;
} AsgiAddress;

/* The TLS parameters of a connection. Unknown texts are NULL. */
typedef struct AsgiTls {
    uint32_t version;      /* as on the wire: 0x0304 for TLS 1.3; 0 if unknown */
    uint32_t cipher_suite; /* 0 if unknown */
    AsgiStr server_cert;   /* PEM */
    const AsgiStr *client_cert_chain; /* PEM; the client's own certificate is the first */
    size_t n_client_cert_chain;
    AsgiStr client_cert_name;
    AsgiStr client_cert_error;
    AsgiStr server_name;
} AsgiTls;

#define ASGI_SCOPE_WITHOUT_BODY 1 /* no body follows the request */

/* The scope of one call, valid only during `call`. For a lifespan, only `size` and `kind`
 * are set. */
typedef struct AsgiScope {
    uint32_t size; /* sizeof(AsgiScope) */
    uint32_t kind; /* ASGI_SCOPE_... */
    uint32_t http_version; /* ASGI_HTTP_... */
    uint32_t flags; /* ASGI_SCOPE_WITHOUT_BODY */
    AsgiStr method;    /* NULL for a WebSocket */
    AsgiStr scheme;
    AsgiStr target;    /* path and query, encoded as on the wire, without `root_path` */
    AsgiStr path;      /* decoded, with `root_path` in front */
    AsgiStr root_path; /* the decoded path under which the app is mounted; usually empty */
    const AsgiHeader *headers;
    size_t n_headers;
    const AsgiStr *subprotocols; /* WebSocket: the client's offer, the preferred one first */
    size_t n_subprotocols;
    AsgiAddress client;
    AsgiAddress server;
    uint64_t exchange;   /* the exchange's number in the server's log, for AsgiLogLine; or 0 */
    uint64_t extensions; /* ASGI_EXTENSION_...: what this connection supports now */
    const AsgiTls *tls;  /* NULL without TLS */
} AsgiScope;

/* ---- events that an app receives ---- */

#define ASGI_DISCONNECT_COMPLETE 0 /* the response is complete */
#define ASGI_DISCONNECT_CLOSED 1   /* the client closed its side */
#define ASGI_DISCONNECT_LOST 2     /* the connection is broken */
#define ASGI_DISCONNECT_RESET 3    /* the client cancelled this exchange, with `code` */
#define ASGI_DISCONNECT_TIMED_OUT 4
#define ASGI_DISCONNECT_PROTOCOL_ERROR 5
#define ASGI_DISCONNECT_SHUTDOWN 6 /* the server stops */

/* Why an exchange ended. */
typedef struct AsgiDisconnect {
    uint32_t reason; /* ASGI_DISCONNECT_... */
    uint32_t reserved;
    uint64_t code; /* of a reset, of up to 62 bits; or of a WebSocket's close frame */
} AsgiDisconnect;

#define ASGI_FLAG_MORE 1     /* more of the body, or more trailers, will follow */
#define ASGI_FLAG_TRAILERS 2 /* request: `headers` has trailers; response start: they may follow */
#define ASGI_FLAG_TEXT 4     /* a WebSocket message is text (UTF-8), not binary */
#define ASGI_FLAG_OFFSET 8   /* zerocopysend starts at `offset`, not at the file's position */
#define ASGI_FLAG_COUNT 16   /* zerocopysend ends after `count` bytes, not at the file's end */

#define ASGI_RECEIVE_HTTP_REQUEST 1    /* body; headers: the trailers */
#define ASGI_RECEIVE_HTTP_DISCONNECT 2 /* disconnect */
#define ASGI_RECEIVE_WEBSOCKET_CONNECT 16
#define ASGI_RECEIVE_WEBSOCKET_RECEIVE 17    /* body, FLAG_TEXT */
#define ASGI_RECEIVE_WEBSOCKET_DISCONNECT 18 /* disconnect.code; body: the reason, as text */
#define ASGI_RECEIVE_LIFESPAN_STARTUP 32
#define ASGI_RECEIVE_LIFESPAN_SHUTDOWN 33

typedef struct AsgiReceiveEvent {
    uint32_t kind;  /* ASGI_RECEIVE_... */
    uint32_t flags; /* ASGI_FLAG_... */
    AsgiDisconnect disconnect;
    AsgiBuffer body;           /* the app owns it from now on */
    const AsgiHeader *headers; /* valid until the next call with this handle */
    size_t n_headers;
} AsgiReceiveEvent;

/* ---- events that an app sends ---- */

#define ASGI_SEND_HTTP_RESPONSE_START 1      /* status, headers, FLAG_TRAILERS */
#define ASGI_SEND_HTTP_RESPONSE_BODY 2       /* body, FLAG_MORE */
#define ASGI_SEND_HTTP_RESPONSE_TRAILERS 3   /* headers, FLAG_MORE */
#define ASGI_SEND_HTTP_RESPONSE_PUSH 4       /* text: path and query; headers */
#define ASGI_SEND_HTTP_RESPONSE_EARLY_HINT 5 /* headers: the `link` headers */
#define ASGI_SEND_HTTP_RESPONSE_PATH_SEND 6  /* text: an absolute path, as the system's bytes */
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
    uint32_t status; /* the status of a response, 200 to 999; or the code of a close */
    int32_t file;    /* a file descriptor, borrowed for the call. If the host takes the event,
                        it duplicates the descriptor, so both share one position in the file;
                        you may close yours at any time. 0 in other events */
    uint64_t offset; /* the first byte of the file to send */
    uint64_t count;  /* how many bytes of the file to send */
    AsgiBuffer body; /* the host owns it from now on, whatever it returns */
    AsgiStr text;
    const AsgiHeader *headers;
    size_t n_headers;
} AsgiSendEvent;

#define ASGI_SEND_ERROR_DISCONNECTED 1 /* the client is gone; `disconnect` says why */
#define ASGI_SEND_ERROR_MISUSE 2       /* the app sent `text`; the server expected `expected` */
#define ASGI_SEND_ERROR_REFUSED 3      /* this connection cannot do it; `text` says why */
#define ASGI_SEND_ERROR_OVER 4         /* the app has already returned */

/* Why the host did not take an event. The app owns both buffers from now on. */
typedef struct AsgiSendError {
    uint32_t kind; /* ASGI_SEND_ERROR_... */
    uint32_t reserved;
    AsgiDisconnect disconnect;
    AsgiBuffer text;
    AsgiBuffer expected;
} AsgiSendError;

/* ---- the end of a task ---- */

#define ASGI_OUTCOME_FAILED 1       /* the app returned an error */
#define ASGI_OUTCOME_UNSUPPORTED 2  /* the app does not serve this kind of scope */
#define ASGI_OUTCOME_DISCONNECTED 3 /* the app stopped because its client left */
#define ASGI_OUTCOME_ABORTED 4      /* the app breaks off its exchange on purpose: no fault */

/* Why a task failed or panicked. The texts are valid until the task is dropped. */
typedef struct AsgiOutcome {
    uint32_t kind; /* ASGI_OUTCOME_...; has no meaning with ASGI_PANICKED */
    uint32_t reserved;
    AsgiDisconnect disconnect;
    const AsgiStr *messages; /* the error and its causes, the outermost first; without the
                                cause that `kind` stands for */
    size_t n_messages;
} AsgiOutcome;

/* ---- what the host provides ---- */

/* The host's two halves of an exchange. The library owns them from `call` on, and gives
 * each one back with its drop. It may do so after the task is dropped. */
typedef struct AsgiReceive {
    uintptr_t store[6];
} AsgiReceive;
typedef struct AsgiSend {
    uintptr_t store[4];
} AsgiSend;

/* A handle that waits for the end of an exchange. The library owns it once the host has
 * made it. */
typedef struct AsgiClosed {
    uintptr_t store[4];
} AsgiClosed;

/* One call of an app. The library makes it; the host owns it from then on. */
typedef struct AsgiTask {
    uintptr_t store[8];
} AsgiTask;

#define ASGI_LOG_ERROR 1
#define ASGI_LOG_WARN 2
#define ASGI_LOG_INFO 3
#define ASGI_LOG_DEBUG 4
#define ASGI_LOG_TRACE 5

#define ASGI_LOG_ENABLED 1   /* the host would write a line now */
#define ASGI_LOG_ASK_AGAIN 2 /* the answer may change: ask again for the next line */

#define ASGI_LOG_FIELD_PLAIN UINT64_C(1) /* not a text: a number, a boolean, or a value that is
                                            already formatted; the log does not quote it */

typedef struct AsgiLogField {
    AsgiStr name;
    AsgiStr value;
    uint64_t flags; /* ASGI_LOG_FIELD_... */
} AsgiLogField;

/* One line in the server's log. */
typedef struct AsgiLogLine {
    uint32_t level; /* ASGI_LOG_ERROR to ASGI_LOG_TRACE */
    uint32_t reserved;
    uint64_t exchange; /* the `exchange` of the scope that the line is about; or 0 */
    AsgiStr target;    /* the part of the app that logs, such as "shop::db" */
    AsgiStr message;
    const AsgiLogField *fields;
    size_t n_fields;
} AsgiLogLine;

/* The functions of the host. Valid until the process ends. */
typedef struct AsgiHost {
    uint64_t magic;
    uint16_t major;
    uint16_t minor;
    uint32_t size; /* sizeof(AsgiHost) */

    /* Waits for the next event: PENDING, READY with the event, or PANICKED. After the
     * last event of a protocol, it returns that event again at once. */
    uint32_t (*receive_poll)(AsgiReceive *receive, const AsgiWaker *waker,
                             AsgiReceiveEvent *event);
    void (*receive_drop)(AsgiReceive *receive);

    /* Waits for room for one event: PENDING, READY, FAILED with the error, or
     * PANICKED. */
    uint32_t (*send_poll_ready)(AsgiSend *send, const AsgiWaker *waker, AsgiSendError *error);
    /* Takes one event; call it only after send_poll_ready returned READY. Returns READY,
     * FAILED with the error, or PANICKED. */
    uint32_t (*send_start)(AsgiSend *send, AsgiSendEvent *event, AsgiSendError *error);
    /* Waits for room and takes a complete response: the event is an http.response.start,
     * and its body is the last part. The result is that of the two events: PENDING, READY,
     * FAILED with the error, PANICKED, or DECLINED: then send two events. If the host takes
     * the body, it leaves an empty one in the event. */
    uint32_t (*send_respond)(AsgiSend *send, const AsgiWaker *waker, AsgiSendEvent *event,
                             AsgiSendError *error);
    /* Waits until no event can reach the client any more: PENDING, READY with the reason,
     * or PANICKED. */
    uint32_t (*send_poll_closed)(AsgiSend *send, const AsgiWaker *waker,
                                 AsgiDisconnect *disconnect);
    /* Makes a handle that waits as send_poll_closed does, independently of the half and of
     * other handles. READY with the handle, or PANICKED. */
    uint32_t (*send_closed_handle)(const AsgiSend *send, AsgiClosed *closed);
    void (*send_drop)(AsgiSend *send);

    /* Waits as send_poll_closed does. Do not poll a handle again after READY. */
    uint32_t (*closed_poll)(AsgiClosed *closed, const AsgiWaker *waker,
                            AsgiDisconnect *disconnect);
    /* Gives the handle back. It may outlive the half and the task. */
    void (*closed_drop)(AsgiClosed *closed);

    /* Whether the log takes lines of this level and target, or of this level and any
     * target if `target` is NULL: ASGI_LOG_ENABLED and ASGI_LOG_ASK_AGAIN. Without
     * ASGI_LOG_ASK_AGAIN the library may keep the answer. */
    uint32_t (*log_enabled)(uint32_t level, AsgiStr target);
    /* Writes one line into the server's log, if the log takes such lines. */
    void (*log)(const AsgiLogLine *line);
} AsgiHost;

/* ---- what a library exports, under the name ASGI_APP ---- */

/* The settings that an app starts with. Valid during init. */
typedef struct AsgiStart {
    uint32_t size;    /* sizeof(AsgiStart) */
    uint32_t threads; /* how many threads the app should use; 0 if the app decides */
    AsgiStr config;   /* the operator's configuration for the app (--app-config); or NULL */
} AsgiStart;

/* An exported app. Valid until the process ends. No function may be NULL. */
typedef struct AsgiApp {
    uint64_t magic; /* ASGI_MAGIC */
    uint16_t major; /* ASGI_MAJOR */
    uint16_t minor; /* ASGI_MINOR */
    uint32_t size;  /* sizeof(AsgiApp) */
    AsgiStr name;
    AsgiStr version;
    AsgiStr toolchain; /* the compiler, for people */
    uint64_t flags;    /* zero: none is defined yet */

    /* Makes the app. The host calls it before any other function. READY with the app,
     * which must not be NULL, or FAILED with a message. */
    uint32_t (*init)(const AsgiHost *host, const AsgiStart *start, void **app,
                     AsgiBuffer *error);
    /* Makes a task that serves one scope. The host calls it on any thread, also while
     * other calls run. READY with the task, or FAILED. The library takes both halves,
     * whatever it returns: it moves them out of the structs that the pointers refer to,
     * which are valid only during this call. */
    uint32_t (*call)(void *app, const AsgiScope *scope, AsgiReceive *receive, AsgiSend *send,
                     AsgiTask *task);
    /* Continues a task: PENDING, WORKING, READY, FAILED or PANICKED, the last two with the
     * outcome. After any other code than PENDING and WORKING the task has ended; the host
     * must not poll it again. After WORKING, the host holds back the head of a response, as
     * it does while it polls the app. If there may be such a head, the library wakes the
     * waker when its thread stops running the app. */
    uint32_t (*poll)(AsgiTask *task, const AsgiWaker *waker, AsgiOutcome *outcome);
    /* Frees the data of a task. Cancels a task that has not ended. */
    void (*drop_task)(AsgiTask *task);
    /* Stops the app's own threads and waits for them, at most `grace_ms` milliseconds. The
     * host calls no function but drop_task after it. */
    void (*shutdown)(void *app, uint32_t grace_ms);
} AsgiApp;

#ifdef __cplusplus
}
#endif

#endif
