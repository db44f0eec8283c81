// Many short lines of one read at once, as records of either form: what log_line.h does with one line after the other, for
// programs that write as fast as they can. Pure.
#pragma once

#ifdef __x86_64__
#include <sys/platform/x86.h>
#endif

#include <algorithm>
#include <bit>
#include <cstring>
#include <string_view>

#include "shim/log_line.h"
#include "shim/log_specials.h"

namespace gantry::shim {

inline constexpr size_t kWidest = 64;
// What was read by another processor is not in this one's caches: it is asked for so many bytes before it is needed.
inline constexpr size_t kAhead = 4096;

// Copied many bytes at a time, which is less than half the price of a memcpy for so short a text.
class ShortText {
 public:
  explicit ShortText(std::string text) : size_(text.size()), padded_(static_cast<std::string&&>(text)) {
    padded_.resize(size_ + kWidest);
  }
  size_t size() const { return size_; }
  // Writes up to kWidth bytes beyond the text's end. → its end
  template <size_t kWidth>
  GANTRY_OF_ITS_CALLER char* copy_to(char* to) const {
    const char* const text = padded_.data();
    for (size_t i = 0; i < size_; i += kWidth) std::memcpy(to + i, text + i, kWidth);
    return to + size_;
  }

 private:
  size_t size_;
  std::string padded_;
};

// Records of one stream and one time differ in their text only.
struct RecordFrame {
  ShortText head;
  ShortText tail;
  size_t size() const { return head.size() + tail.size(); }
};

inline RecordFrame json_frame(std::string_view stream, std::string_view time, std::string_view attributes) {
  std::string record;
  append_log_line(record, "", true, stream, time, attributes);
  const size_t text = record.find("\\n");
  return {.head = ShortText(record.substr(0, text)), .tail = ShortText(record.substr(text))};
}

inline RecordFrame compact_frame(std::string_view stream, int64_t time) {
  std::string record;
  append_compact_line(record, "", true, stream, time);
  return {.head = ShortText(record.substr(0, record.size() - 1)), .tail = ShortText("\n")};
}

// Where the next record goes. Never grows; the bytes belong to the owner.
class RecordSpace {
 public:
  RecordSpace() = default;
  RecordSpace(char* begin, size_t size) : begin_(begin), at_(begin), end_(begin + size) {}
  std::string_view records() const { return {begin_, static_cast<size_t>(at_ - begin_)}; }
  size_t room() const { return static_cast<size_t>(end_ - at_); }
  char* at() const { return at_; }
  void set_at(char* at) { at_ = at; }
  void clear() { at_ = begin_; }
  void set_size(size_t size) { end_ = begin_ + size; }
  // `rest`: the end of records().
  void keep(std::string_view rest) {
    std::memmove(begin_, rest.data(), rest.size());
    at_ = begin_ + rest.size();
  }
  bool append(std::string_view record) {
    if (record.size() > room()) return false;
    std::memcpy(at_, record.data(), record.size());
    at_ += record.size();
    return true;
  }

 private:
  char* begin_ = nullptr;
  char* at_ = nullptr;
  char* end_ = nullptr;
};

// A text of a piece's size and the blocks in which it is seen to be longer, six bytes a character, and what is copied beyond the
// record's end.
inline constexpr size_t kMostText = 6 * (kLogPiece + 2 * kWidest) + kWidest;

inline char* copy_bytes(char* to, std::string_view bytes) {
  std::memcpy(to, bytes.data(), bytes.size());
  return to + bytes.size();
}

// These append records of the whole lines that `data` begins with, and remove those lines from it: until a line has no end, is
// longer than a piece (LineCutter's work), or `space` may have no room for it.
using AppendLines = void (*)(RecordSpace& space, std::string_view& data, const RecordFrame& frame);

inline void append_compact_lines(RecordSpace& space, std::string_view& data, const RecordFrame& frame) {
  const size_t needed = frame.size() + kMostText;
  while (space.room() >= needed) {
    const size_t length = data.substr(0, kLogPiece).find('\n');
    if (length == std::string_view::npos) return;
    char* const to = copy_bytes(frame.head.copy_to<kSixteen>(space.at()), data.substr(0, length));
    space.set_at(frame.tail.copy_to<kSixteen>(to));
    data.remove_prefix(length + 1);
  }
}

// Each block is copied as if it were plain, and what follows one of its special characters once more, to where it belongs: nothing
// waits for the search, not even the next block's.
template <size_t kWidth, bool kExpands = false>
class JsonLines {
 public:
  GANTRY_OF_ITS_CALLER JsonLines(RecordSpace& space, std::string_view data, const RecordFrame& frame)
      : space_(space), frame_(frame), needed_(frame.size() + kMostText), line_(data.data()), at_(line_), end_(line_ + data.size()) {}

  // → what is left
  GANTRY_OF_ITS_CALLER std::string_view append() {
    bool goes_on = begin_line();
    while (goes_on && end_ - at_ >= static_cast<ptrdiff_t>(2 * kWidth) && !is_too_long()) goes_on = append_block();
    while (goes_on && !is_too_long()) goes_on = append_last();
    return {line_, static_cast<size_t>(end_ - line_)};
  }

 private:
  static constexpr int kManyQuotes = 3;

  // False: there may be no room for it.
  GANTRY_OF_ITS_CALLER bool begin_line() {
    if (space_.room() < needed_) return false;
    to_ = frame_.head.copy_to<kWidth>(space_.at());
    return true;
  }
  // At its '\n'. False: it is left, or there may be no room for the next one.
  GANTRY_OF_ITS_CALLER bool end_line() {
    if (is_too_long()) return false;
    space_.set_at(frame_.tail.copy_to<kWidth>(to_));
    line_ = ++at_;
    return begin_line();
  }
  GANTRY_OF_ITS_CALLER bool is_too_long() const { return at_ - line_ >= static_cast<ptrdiff_t>(kLogPiece); }
  GANTRY_OF_ITS_CALLER void put_character() {
    const JsonCharacter character = put_json_character({at_, static_cast<size_t>(end_ - at_)}, to_);
    at_ += character.length;
    to_ += character.size;
  }

  GANTRY_OF_ITS_CALLER bool append_block() {
    const char* const block = at_;
    __builtin_prefetch(block + kAhead);
    uint64_t specials = copy_and_find_specials<kWidth>(block, to_);
    if (in_range<kWidth>(block, 0x80, 0x80) != 0) specials &= ~plain_sequences_of<kWidth>(block);
    if constexpr (kExpands) {
      const uint64_t quotes = in_range<kWidth>(block, '"', 1) | in_range<kWidth>(block, '\\', 1);
      if (std::popcount(quotes) >= kManyQuotes) return append_quoted(quotes, specials & ~quotes);
    }
    for (; specials != 0; specials &= specials - 1) {
      const char* const special = block + std::countr_zero(specials);
      if (special < at_) continue;  // within a character of several bytes
      to_ += special - at_;
      at_ = special;
      if (*at_ != '\n') put_character();
      else if (!end_line()) return false;
      if (at_ - block >= static_cast<ptrdiff_t>(kWidth)) return true;
      std::memcpy(to_, at_, kWidth);
    }
    to_ += block + kWidth - at_;
    at_ = block + kWidth;
    return true;
  }

  // Up to and with the first of `others`.
  GANTRY_OF_ITS_CALLER bool append_quoted(uint64_t quotes, uint64_t others) {
    const size_t count = others == 0 ? kWidth : static_cast<size_t>(std::countr_zero(others));
    to_ = copy_quoted(at_, count, quotes, to_);
    at_ += count;
    if (others == 0) return true;
    if (*at_ == '\n') return end_line();
    put_character();
    return true;
  }

  // Less than two blocks, of which one is looked at and one copied.
  GANTRY_OF_ITS_CALLER bool append_last() {
    const std::string_view rest(at_, static_cast<size_t>(end_ - at_));
    const size_t plain = plain_length(rest);
    to_ = copy_bytes(to_, rest.substr(0, plain));
    at_ += plain;
    if (at_ == end_) return false;
    if (*at_ == '\n') return end_line();
    put_character();
    return true;
  }

  RecordSpace& space_;
  const RecordFrame& frame_;
  const size_t needed_;
  const char* line_;  // the current one's begin
  const char* at_;    // copied up to here,
  const char* const end_;
  char* to_ = nullptr;  // and to here
};

inline void append_json_lines_16(RecordSpace& space, std::string_view& data, const RecordFrame& frame) {
  data = JsonLines<kSixteen>(space, data, frame).append();
}

#ifdef __x86_64__
__attribute__((target("avx2,bmi"))) inline void append_json_lines_32(RecordSpace& space, std::string_view& data,
                                                                     const RecordFrame& frame) {
  data = JsonLines<32>(space, data, frame).append();
}

__attribute__((target("avx512bw,bmi"))) inline void append_json_lines_64(RecordSpace& space, std::string_view& data,
                                                                         const RecordFrame& frame) {
  data = JsonLines<64>(space, data, frame).append();
}

GANTRY_EXPANDS inline void append_json_lines_64_expanding(RecordSpace& space, std::string_view& data, const RecordFrame& frame) {
  data = JsonLines<64, true>(space, data, frame).append();
}
#endif

// The quickest one of this processor.
inline AppendLines append_json_lines() {
#ifdef __x86_64__
  // The C library's answer, found at its start. The compiler's asks the processor ten times more, as each shim starts, and in a
  // virtual machine each time is an exit to the host.
  const bool expands = CPU_FEATURE_ACTIVE(AVX512_VBMI2) && CPU_FEATURE_ACTIVE(BMI2) && CPU_FEATURE_ACTIVE(POPCNT);
  if (expands && CPU_FEATURE_ACTIVE(BMI1) && CPU_FEATURE_ACTIVE(AVX512BW)) return append_json_lines_64_expanding;
  if (CPU_FEATURE_ACTIVE(BMI1) && CPU_FEATURE_ACTIVE(AVX512BW)) return append_json_lines_64;
  if (CPU_FEATURE_ACTIVE(BMI1) && CPU_FEATURE_ACTIVE(AVX2)) return append_json_lines_32;
#endif
  return append_json_lines_16;
}

}  // namespace gantry::shim
