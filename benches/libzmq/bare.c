// Bare libzmq sockets: the limit of the transport, and the one load for all services of `bench_device`.
//
//   bare reply                                     answers every request with itself
//   bare publish                                   publishes what its input asks for: `marker`, `events COUNT`
//   bare request ENDPOINT CLIENTS WARM_UP_MS TIME_MS REQUEST EXPECTED
//   bare subscribe ENDPOINT SUBSCRIBERS COUNT
//   bare watch ENDPOINT BEATS
//
// Services print `listening ENDPOINT`, the others their results as JSON. The declarations are those of libzmq 4's
// stable interface; so no headers are needed, only the library that pyzmq brings along.

#define _GNU_SOURCE
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

extern void *zmq_ctx_new(void);
extern void *zmq_socket(void *context, int type);
extern int zmq_bind(void *socket, const char *endpoint);
extern int zmq_connect(void *socket, const char *endpoint);
extern int zmq_setsockopt(void *socket, int option, const void *value, size_t length);
extern int zmq_getsockopt(void *socket, int option, void *value, size_t *length);
extern int zmq_send(void *socket, const void *data, size_t length, int flags);
extern int zmq_recv(void *socket, void *data, size_t length, int flags);
extern const char *zmq_strerror(int error);

typedef struct {
    void *socket;
    int fd;
    short events;
    short revents;
} poll_item;
extern int zmq_poll(poll_item *items, int count, long timeout_ms);

enum { PUB = 1, SUB = 2, REQ = 3, REP = 4 };
enum { SUBSCRIBE = 6, RCVMORE = 13, LINGER = 17, SNDHWM = 23, RCVHWM = 24, RCVTIMEO = 27, LAST_ENDPOINT = 32 };
enum { DONTWAIT = 1, SNDMORE = 2, POLLIN = 1 };

// Topics are 32 bits, little-endian.
static const uint8_t EVENT[4] = {0xa1, 0x0f, 0, 0};
static const uint8_t HEARTBEAT[4] = {0xe9, 0x03, 0, 0};
// No service uses it.
static const uint8_t MARKER[4] = {'M', 'a', 'r', 'k'};

enum { EVENT_BYTES = 200, FRAME_BYTES_MAX = 64 * 1024, CLIENTS_MAX = 256 };
// A reply, an event or a heartbeat that takes longer is lost.
enum { REPLY_MS_MAX = 15000, EVENT_MS_MAX = 3000, BEAT_MS_MAX = 15000 };
// What one socket may take before the others have their turn.
enum { DRAIN_MAX = 1000 };

static char frame[FRAME_BYTES_MAX];

static void fail(const char *what) {
    fprintf(stderr, "bare: %s: %s\n", what, zmq_strerror(errno));
    exit(1);
}

static void fail_unless(int holds, const char *what) {
    if (!holds) fail(what);
}

static uint64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

// Without high-water marks: what cannot be sent at once waits.
static void *open_socket(void *context, int type) {
    static const int unlimited = 0, at_once = 0;
    void *socket = zmq_socket(context, type);
    fail_unless(socket != NULL, "socket");
    zmq_setsockopt(socket, SNDHWM, &unlimited, sizeof unlimited);
    zmq_setsockopt(socket, RCVHWM, &unlimited, sizeof unlimited);
    zmq_setsockopt(socket, LINGER, &at_once, sizeof at_once);
    return socket;
}

static void *listen_socket(int type) {
    char endpoint[256];
    size_t length = sizeof endpoint;
    void *socket = open_socket(zmq_ctx_new(), type);
    fail_unless(zmq_bind(socket, "tcp://127.0.0.1:*") == 0, "bind");
    fail_unless(zmq_getsockopt(socket, LAST_ENDPOINT, endpoint, &length) == 0, "endpoint");
    printf("listening %s\n", endpoint);
    fflush(stdout);
    return socket;
}

static void *subscriber(void *context, const char *endpoint, const uint8_t topic[4], int timeout_ms) {
    void *socket = open_socket(context, SUB);
    zmq_setsockopt(socket, RCVTIMEO, &timeout_ms, sizeof timeout_ms);
    zmq_setsockopt(socket, SUBSCRIBE, topic, 4);
    // Subscriptions arrive in order: once a marker comes, the topic's messages do too.
    zmq_setsockopt(socket, SUBSCRIBE, MARKER, 4);
    fail_unless(zmq_connect(socket, endpoint) == 0, "connect");
    return socket;
}

static int is_topic(const uint8_t topic[4], const char *received, int length) {
    return length == 4 && memcmp(topic, received, 4) == 0;
}

// --- services ---

static void reply(void) {
    void *socket = listen_socket(REP);
    for (;;) {
        int length = zmq_recv(socket, frame, sizeof frame, 0);
        fail_unless(length >= 0 && length <= (int)sizeof frame, "receive a request");
        fail_unless(zmq_send(socket, frame, (size_t)length, 0) >= 0, "reply");
    }
}

static void publish_one(void *socket, const uint8_t topic[4], size_t length) {
    fail_unless(zmq_send(socket, topic, 4, SNDMORE) == 4, "send a topic");
    fail_unless(zmq_send(socket, frame, length, 0) >= 0, "send a payload");
}

static void publish(void) {
    char line[64];
    void *socket = listen_socket(PUB);
    memset(frame, 'x', sizeof frame);
    while (fgets(line, sizeof line, stdin) != NULL) {
        long count;
        if (sscanf(line, "events %ld", &count) == 1) {
            while (count-- > 0) publish_one(socket, EVENT, EVENT_BYTES);
        } else {
            publish_one(socket, MARKER, 1);
        }
    }
}

// --- clients ---

typedef struct {
    void *socket;
    uint64_t sent_at_ns;
    char nonce[11];
} client;

static char *request_text, *request_nonce;
static uint64_t last_nonce = 1000000000u;

// Every request has a nonce of its own, of the same length.
static void ask(client *client) {
    snprintf(client->nonce, sizeof client->nonce, "%010llu", (unsigned long long)++last_nonce);
    memcpy(request_nonce, client->nonce, 10);
    client->sent_at_ns = now_ns();
    fail_unless(zmq_send(client->socket, request_text, strlen(request_text), 0) >= 0, "send a request");
}

static void take_reply(client *client, const char *expected) {
    int length = zmq_recv(client->socket, frame, sizeof frame, 0);
    fail_unless(length > 0 && length <= (int)sizeof frame, "receive a reply");
    if (memmem(frame, (size_t)length, client->nonce, 10) == NULL ||
        memmem(frame, (size_t)length, expected, strlen(expected)) == NULL) {
        fprintf(stderr, "bare: a reply is wrong: %.*s\n", length, frame);
        exit(1);
    }
}

static int ascending(const void *a, const void *b) {
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
    return left < right ? -1 : left > right;
}

static uint64_t *latencies_ns;
static size_t answered, latencies_room;

static void note_latency(uint64_t latency_ns) {
    if (answered == latencies_room) {
        latencies_room = latencies_room == 0 ? 65536 : latencies_room * 2;
        latencies_ns = realloc(latencies_ns, latencies_room * sizeof *latencies_ns);
        fail_unless(latencies_ns != NULL, "memory");
    }
    latencies_ns[answered++] = latency_ns;
}

static double latency_us(size_t hundredths) {
    return answered == 0 ? 0.0 : (double)latencies_ns[(answered - 1) * hundredths / 100] / 1e3;
}

// Each client asks again once it has its answer, until the time is over.
static void request(const char *endpoint, int clients, uint64_t warm_up_ms, uint64_t time_ms, const char *expected) {
    static client all[CLIENTS_MAX];
    static poll_item items[CLIENTS_MAX];
    static const int timeout_ms = REPLY_MS_MAX;
    void *context = zmq_ctx_new();
    uint64_t measured_from_ns = now_ns() + warm_up_ms * 1000000u;
    uint64_t over_at_ns = measured_from_ns + time_ms * 1000000u;
    size_t in_all = 0;
    int waiting = clients;
    for (int i = 0; i < clients; i++) {
        all[i].socket = open_socket(context, REQ);
        zmq_setsockopt(all[i].socket, RCVTIMEO, &timeout_ms, sizeof timeout_ms);
        fail_unless(zmq_connect(all[i].socket, endpoint) == 0, "connect");
        items[i] = (poll_item){all[i].socket, 0, POLLIN, 0};
        ask(&all[i]);
    }
    while (waiting > 0) {
        // One client simply waits for its reply.
        if (clients == 1) items[0].revents = POLLIN;
        else fail_unless(zmq_poll(items, clients, REPLY_MS_MAX) > 0, "wait for replies");
        for (int i = 0; i < clients; i++) {
            if (!(items[i].revents & POLLIN)) continue;
            take_reply(&all[i], expected);
            uint64_t now = now_ns();
            in_all++;
            if (now >= measured_from_ns && now < over_at_ns) note_latency(now - all[i].sent_at_ns);
            if (now < over_at_ns) ask(&all[i]);
            else waiting--;
        }
    }
    qsort(latencies_ns, answered, sizeof *latencies_ns, ascending);
    printf("{\"answered\":%zu,\"answered_in_all\":%zu,\"seconds\":%.6f,\"p50_us\":%.3f,\"p99_us\":%.3f}\n", answered,
           in_all, (double)time_ms / 1e3, latency_us(50), latency_us(99));
}

typedef struct {
    long received;
    int has_marker;
} subscription;

// The reference's heartbeats get between the frames of an event now and then: what has more frames is one message too.
static int rest_of_message(void *socket) {
    int length, has_more;
    size_t size = sizeof has_more;
    do {
        length = zmq_recv(socket, frame, sizeof frame, 0);
        fail_unless(length >= 0, "receive a payload");
        fail_unless(zmq_getsockopt(socket, RCVMORE, &has_more, &size) == 0, "ask for more");
    } while (has_more);
    return length;
}

static uint64_t bytes_received, first_at_ns, last_at_ns;

// Takes what is there.
static void drain(void *socket, subscription *subscription) {
    char topic[4];
    long before = subscription->received;
    for (int i = 0; i < DRAIN_MAX; i++) {
        int topic_length = zmq_recv(socket, topic, sizeof topic, DONTWAIT);
        if (topic_length < 0) break;
        int length = rest_of_message(socket);
        if (is_topic(EVENT, topic, topic_length)) {
            if (first_at_ns == 0) first_at_ns = now_ns();
            subscription->received++;
            bytes_received += (uint64_t)length;
        } else {
            subscription->has_marker = 1;
        }
    }
    if (subscription->received > before) last_at_ns = now_ns();
}

static int all_have(const subscription *subscriptions, int count, long events) {
    for (int i = 0; i < count; i++)
        if (!subscriptions[i].has_marker || subscriptions[i].received < events) return 0;
    return 1;
}

// Counts events until all are there, or none comes any more; the time is from the first to the last.
static void subscribe(const char *endpoint, int subscribers, long count) {
    static subscription all[CLIENTS_MAX];
    static poll_item items[CLIENTS_MAX];
    void *context = zmq_ctx_new();
    int is_ready = 0;
    for (int i = 0; i < subscribers; i++)
        items[i] = (poll_item){subscriber(context, endpoint, EVENT, EVENT_MS_MAX), 0, POLLIN, 0};
    while (!all_have(all, subscribers, count) && zmq_poll(items, subscribers, EVENT_MS_MAX) > 0) {
        for (int i = 0; i < subscribers; i++)
            if (items[i].revents & POLLIN) drain(items[i].socket, &all[i]);
        if (!is_ready && all_have(all, subscribers, 0)) {
            is_ready = 1;
            puts("ready");
            fflush(stdout);
        }
    }
    long received = 0;
    for (int i = 0; i < subscribers; i++) received += all[i].received;
    printf("{\"received\":%ld,\"bytes\":%llu,\"seconds\":%.9f}\n", received, (unsigned long long)bytes_received,
           (double)(last_at_ns - first_at_ns) / 1e9);
}

// When heartbeats come, in ns of a monotonic clock.
static void watch(const char *endpoint, int beats) {
    char topic[4];
    void *socket = subscriber(zmq_ctx_new(), endpoint, HEARTBEAT, BEAT_MS_MAX);
    putchar('[');
    for (int i = 0; i < beats; i++) {
        fail_unless(zmq_recv(socket, topic, sizeof topic, 0) == 4, "receive a heartbeat");
        printf("%s%llu", i == 0 ? "" : ",", (unsigned long long)now_ns());
        rest_of_message(socket);
    }
    puts("]");
}

int main(int count, char **args) {
    const char *role = count > 1 ? args[1] : "";
    if (strcmp(role, "reply") == 0) {
        reply();
    } else if (strcmp(role, "publish") == 0) {
        publish();
    } else if (strcmp(role, "request") == 0 && count == 8 && atoi(args[3]) <= CLIENTS_MAX) {
        request_text = args[6];
        request_nonce = strstr(request_text, "1000000000");
        fail_unless(request_nonce != NULL, "a request has the nonce 1000000000");
        request(args[2], atoi(args[3]), strtoull(args[4], NULL, 10), strtoull(args[5], NULL, 10), args[7]);
    } else if (strcmp(role, "subscribe") == 0 && count == 5 && atoi(args[3]) <= CLIENTS_MAX) {
        subscribe(args[2], atoi(args[3]), atol(args[4]));
    } else if (strcmp(role, "watch") == 0 && count == 4) {
        watch(args[2], atoi(args[3]));
    } else {
        fputs("bare: see the top of bare.c for what it can do\n", stderr);
        return 2;
    }
    return 0;
}
