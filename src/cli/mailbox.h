// A queue from many threads to one: what readers of streams find out goes to the thread that decides.
#pragma once

#include <condition_variable>
#include <deque>
#include <mutex>

namespace gantry::cli {

template <class Message>
class Mailbox {
 public:
  // Any thread.
  void put(Message message) {
    {
      std::lock_guard lock(mutex_);
      messages_.push_back(std::move(message));
    }
    arrived_.notify_one();
  }
  // Waits for the next one. One thread.
  Message take() {
    std::unique_lock lock(mutex_);
    arrived_.wait(lock, [this] { return !messages_.empty(); });
    Message message = std::move(messages_.front());
    messages_.pop_front();
    return message;
  }

 private:
  std::mutex mutex_;
  std::condition_variable arrived_;
  std::deque<Message> messages_;
};

}  // namespace gantry::cli
