/* Threads that are cancelled before, while and after they wait for a message or for room. */
#include "say.h"
#include <pthread.h>
#include <sys/msg.h>

struct message {
    long type;
    char text[64];
};

static int empty, full;

static void cleaned_up(void *what)
{
    say("cleaned up: %s", (const char *)what);
}

static void *waiting(void *way)
{
    struct message message = { 1, "" };
    pthread_cleanup_push(cleaned_up, way);
    if (strcmp(way, "msgrcv") == 0)
        TRY(msgrcv(empty, &message, sizeof message.text, 0, 0));
    else
        TRY(msgsnd(full, &message, sizeof message.text, 0));
    pthread_cleanup_pop(0);
    say("not reached");
    return NULL;
}

/* Cancelled before the call, which need not wait. */
static void *not_beginning(void *way)
{
    struct message message = { 1, "" };
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
    usleep(200000);
    pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL);
    pthread_cleanup_push(cleaned_up, way);
    if (strcmp(way, "msgrcv that need not wait") == 0)
        TRY(msgrcv(full, &message, sizeof message.text, 0, IPC_NOWAIT));
    else
        TRY(msgsnd(empty, &message, 8, IPC_NOWAIT));
    pthread_cleanup_pop(0);
    say("not reached");
    return NULL;
}

/* Cancelled while it does not admit it: the wait goes on. */
static void *declining(void *unused)
{
    struct message message;
    (void)unused;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
    long length = TRY(msgrcv(empty, &message, sizeof message.text, 7, 0));
    say("declining: %.*s", (int)length, message.text);
    pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL);
    pthread_testcancel();
    say("not reached");
    return NULL;
}

static void *uninvolved(void *unused)
{
    struct message message;
    (void)unused;
    long length = TRY(msgrcv(empty, &message, sizeof message.text, 0, 0));
    say("uninvolved: %.*s", (int)length, message.text);
    return NULL;
}

static void end(const char *way, pthread_t thread)
{
    void *result;
    pthread_join(thread, &result);
    say("%s: cancelled %d", way, result == PTHREAD_CANCELED);
}

static void send(long type, const char *text)
{
    struct message message = { type, "" };
    strcpy(message.text, text);
    MUST(msgsnd(empty, &message, strlen(text), 0));
}

int main(void)
{
    alarm(30);
    empty = MUST(msgget(IPC_PRIVATE, 0600));
    full = MUST(msgget(IPC_PRIVATE, 0600));
    struct message message = { 1, "" };
    while (msgsnd(full, &message, sizeof message.text, IPC_NOWAIT) == 0)
        ;
    static const char *const ways[] = { "msgrcv", "msgsnd" };
    for (int i = 0; i < 2; i++) {
        pthread_t thread;
        pthread_create(&thread, NULL, waiting, (void *)ways[i]);
        usleep(50000);
        pthread_cancel(thread);
        end(ways[i], thread);
    }
    static const char *const pending[] = { "msgrcv that need not wait", "msgsnd that need not wait" };
    for (int i = 0; i < 2; i++) {
        pthread_t thread;
        pthread_create(&thread, NULL, not_beginning, (void *)pending[i]);
        usleep(50000);
        pthread_cancel(thread);
        end(pending[i], thread);
    }
    /* Nobody who was cancelled has taken anything. */
    struct msqid_ds state;
    MUST(msgctl(empty, IPC_STAT, &state));
    SHOW(state.msg_qnum);

    pthread_t first, second, third;
    pthread_create(&first, NULL, declining, NULL);
    pthread_create(&second, NULL, uninvolved, NULL);
    pthread_create(&third, NULL, waiting, "msgrcv");
    usleep(50000);
    pthread_cancel(first);
    pthread_cancel(third);
    end("msgrcv beside others", third);
    send(1, "for anybody");
    end("uninvolved", second);
    send(7, "for one");
    end("declining", first);
    MUST(msgctl(empty, IPC_RMID, NULL));
    MUST(msgctl(full, IPC_RMID, NULL));
    return 0;
}
