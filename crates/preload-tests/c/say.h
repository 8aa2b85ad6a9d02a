/* What the test programs print with: everything but ids, process ids and times. */
#ifndef SAY_H
#define SAY_H

#define _GNU_SOURCE
#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* An errno that no call sets. */
#define UNTOUCHED 4242

__attribute__((format(printf, 1, 2), unused))
static void say(const char *format, ...)
{
    char line[1024];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(line, sizeof line - 1, format, arguments);
    va_end(arguments);
    line[length++] = '\n';
    /* At once and unbuffered: processes and signal handlers say things, too. */
    if (write(STDOUT_FILENO, line, length) != length)
        _exit(111);
}

__attribute__((unused))
static void say_result(const char *what, long result)
{
    int error = errno;
    const char *name = strerrorname_np(error);
    if (result == -1)
        say("%s: %s", what, name ? name : "?");
    else
        say("%s: ok%s", what, error == UNTOUCHED ? "" : ", and errno touched");
    errno = error;
}

/* Makes a call and says what came of it; yields its result. */
#define TRY(call) \
    ({ errno = UNTOUCHED; __typeof__(call) result_ = (call); say_result(#call, (long)result_); result_; })

/* The same for calls that return a null pointer on failure. */
#define TRY_POINTER(call) \
    ({ errno = UNTOUCHED; __typeof__(call) result_ = (call); say_result(#call, result_ ? 0 : -1); result_; })

/* Makes a call that must succeed for the test to make sense; yields its result. */
#define MUST(call) \
    ({ __typeof__(call) result_ = (call); \
       if ((long)result_ == -1) { say("%s: %s", #call, strerrorname_np(errno)); exit(112); } \
       result_; })

#define SHOW(number) say("%s: %ld", #number, (long)(number))

#endif
