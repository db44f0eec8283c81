// Many short lines of one read at once, as records of either form: what log_line.h does with one line after the other, for
// programs that write as fast as they can. Pure.
#pragma once

#include <algorithm>
#include <cstring>
#include <string_view>

#include "shim/log_line.h"

namespace gantry::shim {

// Copied sixteen bytes at a time, which is half the price of a memcpy for so short a text.
class ShortText {
 public:
  explicit ShortText(std::string text) : size_(text.size()), padded_(static_cast<std::string&&>(text)) {
    padded_.resize(size_ + kSixteen);
  }
  size_t size() const { return size_; }
  // Writes up to sixteen bytes beyond the text's end. → its end
  char* copy_to(char* to) const {
    for (size_t i = 0; i < size_; i += kSixteen) std::memcpy(to + i, padded_.data() + i, kSixteen);
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

// A text of a piece's size, six bytes a character, and the sixteen that are copied beyond its and the record's end.
inline constexpr size_t kMostText = 6 * kLogPiece + 16;

inline char* copy_bytes(char* to, std::string_view bytes) {
  std::memcpy(to, bytes.data(), bytes.size());
  return to + bytes.size();
}

// Copies `from` up to its first '\n' as the inside of a JSON string and sets `from` to that place; null: it has none.
// As append_json_text, but it copies sixteen bytes while it looks at them. `to` has kMostText bytes.
inline char* copy_json_line(std::string_view& from, char* to) {
  while (!from.empty()) {
    if (from.size() >= kSixteen) {
      std::memcpy(to, from.data(), kSixteen);
      const size_t plain = plain_of_sixteen(from.data());
      to += plain;
      from.remove_prefix(plain);
      if (plain == kSixteen) continue;
    } else if (is_plain(static_cast<unsigned char>(from[0]))) {
      *to++ = from[0];
      from.remove_prefix(1);
      continue;
    }
    if (from[0] == '\n') return to;
    std::string escaped;  // never longer than its own buffer
    from.remove_prefix(append_json_character(escaped, from));
    to = copy_bytes(to, escaped);
  }
  return nullptr;
}

// Copies `from` up to its first '\n', and the rest as above.
inline char* copy_compact_line(std::string_view& from, char* to) {
  const size_t length = from.find('\n');
  if (length == std::string_view::npos) return nullptr;
  to = copy_bytes(to, from.substr(0, length));
  from.remove_prefix(length);
  return to;
}

// Appends records of the whole lines that `data` begins with, and removes those lines from it: until a line has no end, is
// longer than a piece (LineCutter's work), or `space` may have no room for it.
template <class CopyLine>
void append_whole_lines(RecordSpace& space, std::string_view& data, const RecordFrame& frame, CopyLine copy_line) {
  const size_t needed = frame.size() + kMostText;
  while (!data.empty() && space.room() >= needed) {
    std::string_view line = data.substr(0, kLogPiece);
    char* to = copy_line(line, frame.head.copy_to(space.at()));
    if (to == nullptr) return;
    space.set_at(frame.tail.copy_to(to));
    data.remove_prefix(static_cast<size_t>(line.data() - data.data()) + 1);
  }
}

}  // namespace gantry::shim
