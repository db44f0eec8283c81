#include "shim/log_thread.h"

#include <fcntl.h>
#include <malloc.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <ctime>
#include <utility>

#include "shim/system.h"

namespace gantry::shim {
namespace {

constexpr size_t kStack = 64 << 10;
constexpr time_t kBurstEndsAfterSeconds = 1;
constexpr size_t kPage = 4096;

// So many pieces are before the one whose records the caller makes.
constexpr size_t kFarBehind = 2;
// Of a piece with lines of a hundred characters, and what is to be free for one more.
constexpr size_t kRecordSpace = 640 << 10;

alignas(kPage) char record_spaces[LogThread::kRecordSpaces][kRecordSpace];
alignas(kPage) char piece_space[LogThread::kPieces][LogThread::kPiece];

// The kernel makes no threads for whose children are to be in another pid namespace than itself (clone(2), EINVAL): for a
// moment they are to be in its own.
class ChildrenHere {
 public:
  ChildrenHere()
      : own_(::open("/proc/thread-self/ns/pid", O_RDONLY | O_CLOEXEC)),
        before_(::open("/proc/thread-self/ns/pid_for_children", O_RDONLY | O_CLOEXEC)) {
    // Before the first child there is no other namespace to come back to.
    is_set_ = own_ && before_ && ::setns(own_.get(), CLONE_NEWPID) == 0;
  }
  ~ChildrenHere() {
    if (is_set_) ::setns(before_.get(), CLONE_NEWPID);
  }
  ChildrenHere(const ChildrenHere&) = delete;

 private:
  Fd own_;
  Fd before_;
  bool is_set_ = false;
};

class Lock {
 public:
  explicit Lock(pthread_mutex_t& mutex) : mutex_(mutex) { ::pthread_mutex_lock(&mutex_); }
  ~Lock() { ::pthread_mutex_unlock(&mutex_); }
  Lock(const Lock&) = delete;

 private:
  pthread_mutex_t& mutex_;
};

class Unlock {
 public:
  explicit Unlock(pthread_mutex_t& mutex) : mutex_(mutex) { ::pthread_mutex_unlock(&mutex_); }
  ~Unlock() { ::pthread_mutex_lock(&mutex_); }
  Unlock(const Unlock&) = delete;

 private:
  pthread_mutex_t& mutex_;
};

// All pages at once, when they are needed: each one's fault costs as much as its lines, and most bursts are short.
void bring_in(char* begin, size_t size, bool& is_in) {
  if (!std::exchange(is_in, true)) ::madvise(begin, size, MADV_POPULATE_WRITE);
}

}  // namespace

// ---- The caller's side -------------------------------------------------------------------------------

char* LogThread::room() {
  Lock lock(mutex_);
  // Half of it at once: each wait costs both sides a switch.
  if (count_ == kPieces) {
    while (count_ > kPieces / 2) ::pthread_cond_wait(&for_caller_, &mutex_);
  }
  const size_t at = (first_ + count_) % kPieces;
  if (has_log_) bring_in(piece_space[at], kPiece, pieces_in_[at]);
  return piece_space[at];
}

bool LogThread::begin_burst() {
  if (!log_.is_open() || !start()) return false;
  Lock lock(mutex_);
  log_.begin_burst();
  pieces_in_.fill(false);
  spaces_in_.fill(false);
  maker_ = log_.maker();
  has_log_ = true;
  return true;
}

bool LogThread::write(LineCutter& stream, size_t size, int64_t now) {
  Piece piece{.stream = &stream, .size = size, .time = now};
  size_t at = 0;
  bool is_far_behind = false;
  bool is_busy = false;
  {
    Lock lock(mutex_);
    if (!has_log_) return false;
    is_busy = count_ > 0;
    at = (first_ + count_) % kPieces;
    is_far_behind = count_ >= kFarBehind && with_records_ < kRecordSpaces;
  }
  if (is_busy && processor_ == current_processor()) leave_processor();
  if (is_far_behind) make_records(piece, piece_space[at]);
  Lock lock(mutex_);
  if (!has_log_) return false;  // it had nothing to do for all of a burst's last second meanwhile
  pieces_[at] = piece;
  if (!piece.records.empty()) ++with_records_;
  if (++count_ == 1) ::pthread_cond_signal(&for_thread_);
  return true;
}

// Of the lines that begin and end in it: what comes before may be the rest of one, which only the thread knows.
void LogThread::make_records(Piece& piece, const char* data) {
  std::string_view rest(data, piece.size);
  piece.records_begin = rest.find('\n') + 1;
  if (piece.records_begin == 0) return;
  rest.remove_prefix(piece.records_begin);
  bring_in(record_spaces[next_space_], kRecordSpace, spaces_in_[next_space_]);
  RecordSpace space(record_spaces[next_space_], kRecordSpace);
  maker_.append(piece.stream->stream(), rest, piece.time, space);
  piece.records = space.records();
  piece.records_end = piece.size - rest.size();
  if (!piece.records.empty()) next_space_ = (next_space_ + 1) % kRecordSpaces;
}

bool LogThread::flush() {
  if (!started_) return false;
  Lock lock(mutex_);
  if (!has_log_) return false;
  is_flush_due_ = true;
  if (count_ == 0) ::pthread_cond_signal(&for_thread_);
  return true;
}

bool LogThread::has_log() {
  if (!started_) return false;
  Lock lock(mutex_);
  return has_log_;
}

void LogThread::take_back() {
  if (!started_) return;
  Lock lock(mutex_);
  is_wanted_ = true;
  ::pthread_cond_signal(&for_thread_);
  while (has_log_) ::pthread_cond_wait(&for_caller_, &mutex_);
  is_wanted_ = false;
}

bool LogThread::start() {
  if (started_ || failed_) return started_;
  ::mallopt(M_ARENA_MAX, 1);  // a second one would cost every shim that had a burst its memory
  const ChildrenHere here;
  pthread_attr_t attributes;
  ::pthread_attr_init(&attributes);
  ::pthread_attr_setstacksize(&attributes, kStack);
  ::pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  sigset_t all, before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);  // signals are for the thread that waits for them
  pthread_t thread;
  started_ = ::pthread_create(&thread, &attributes, &LogThread::run, this) == 0;
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  ::pthread_attr_destroy(&attributes);
  failed_ = !started_;
  return started_;
}

// ---- The thread's side -------------------------------------------------------------------------------

void* LogThread::run(void* self) {
  static_cast<LogThread*>(self)->loop();
  return nullptr;
}

// The program and the reader wait for the thread, hardly ever it for them: where it shares a processor it goes first, and they find
// the other one. Matters within the shim's session alone where the kernel groups tasks by those (autogroup), and is a wish.
constexpr int kNice = -5;

void LogThread::loop() {
  ::setpriority(PRIO_PROCESS, 0, kNice);  // on Linux of this thread
  ::pthread_mutex_lock(&mutex_);
  for (;;) {
    if (!has_log_) ::pthread_cond_wait(&for_thread_, &mutex_);
    else if (!work()) wait_for_more();
  }
}

// One step, with the mutex let go meanwhile. False: there is none.
bool LogThread::work() {
  if (count_ == 0) {
    const bool flushes = std::exchange(is_flush_due_, false);
    if (!flushes && (is_wanted_ || !log_.busy())) return false;
    const Unlock unlock(mutex_);
    if (flushes) log_.flush();
    else log_.work();
    return true;
  }
  const Piece piece = pieces_[first_];
  {
    const Unlock unlock(mutex_);
    if (crowding_.is_crowded()) leave_processor();  // to the reader's, which leaves it then for where the program is
    processor_ = current_processor();
    write_piece(piece, piece_space[first_]);
  }
  if (!piece.records.empty()) --with_records_;
  first_ = (first_ + 1) % kPieces;
  --count_;
  if (count_ == kPieces / 2) ::pthread_cond_signal(&for_caller_);
  return true;
}

void LogThread::write_piece(const Piece& piece, const char* data) {
  const std::string_view all(data, piece.size);
  if (piece.records.empty()) return log_.write(*piece.stream, all, piece.time);
  log_.write(*piece.stream, all.substr(0, piece.records_begin), piece.time);
  log_.write_records(piece.records);
  log_.write(*piece.stream, all.substr(piece.records_end), piece.time);
}

void LogThread::wait_for_more() {
  if (!is_wanted_) {
    timespec until;
    ::clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += kBurstEndsAfterSeconds;
    const int error = ::pthread_cond_clockwait(&for_thread_, &mutex_, CLOCK_MONOTONIC, &until);
    if (error != ETIMEDOUT || count_ > 0 || is_wanted_) return;
  }
  log_.end_burst();
  ::madvise(record_spaces, sizeof record_spaces, MADV_DONTNEED);
  // But the caller's next one: it may be reading into it this moment.
  for (size_t i = 1; i < kPieces; ++i) ::madvise(piece_space[(first_ + i) % kPieces], kPiece, MADV_DONTNEED);
  has_log_ = false;
  ::pthread_cond_signal(&for_caller_);
}

}  // namespace gantry::shim
