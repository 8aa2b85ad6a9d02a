// Boost.Interprocess behind functions that Rust can call. An exception ends the process: a benchmark has no better use
// for it.

#include <boost/interprocess/anonymous_shared_memory.hpp>
#include <boost/interprocess/ipc/message_queue.hpp>
#include <boost/interprocess/sync/interprocess_mutex.hpp>
#include <boost/interprocess/sync/interprocess_semaphore.hpp>

#include <cstddef>
#include <new>

namespace ipc = boost::interprocess;

namespace {

// Memory that forked children share; it is never given back.
template <typename T, typename... Arguments>
T *shared(Arguments... arguments) {
    auto *region = new ipc::mapped_region(ipc::anonymous_shared_memory(sizeof(T)));
    return new (region->get_address()) T(arguments...);
}

} // namespace

extern "C" {

void *boost_queue_new(const char *name, std::size_t messages, std::size_t size) noexcept {
    ipc::message_queue::remove(name);
    auto *queue = new ipc::message_queue(ipc::create_only, name, messages, size);
    // The mapping stays, and no name is left behind.
    ipc::message_queue::remove(name);
    return queue;
}

void boost_queue_send(void *queue, const void *bytes, std::size_t size) noexcept {
    static_cast<ipc::message_queue *>(queue)->send(bytes, size, 0);
}

std::size_t boost_queue_receive(void *queue, void *bytes, std::size_t room) noexcept {
    ipc::message_queue::size_type received;
    unsigned priority;
    static_cast<ipc::message_queue *>(queue)->receive(bytes, room, received, priority);
    return received;
}

void *boost_semaphore_new(unsigned value) noexcept {
    return shared<ipc::interprocess_semaphore>(value);
}

void boost_semaphore_post(void *semaphore) noexcept {
    static_cast<ipc::interprocess_semaphore *>(semaphore)->post();
}

void boost_semaphore_wait(void *semaphore) noexcept {
    static_cast<ipc::interprocess_semaphore *>(semaphore)->wait();
}

void *boost_mutex_new() noexcept {
    return shared<ipc::interprocess_mutex>();
}

void boost_mutex_lock(void *mutex) noexcept {
    static_cast<ipc::interprocess_mutex *>(mutex)->lock();
}

void boost_mutex_unlock(void *mutex) noexcept {
    static_cast<ipc::interprocess_mutex *>(mutex)->unlock();
}
}
