// Turns a program's output into json-file entries: {"log":"text\n","stream":"stdout","time":"…Z"}. Pure.
// Docker's rules: a message ends at "\n" or at 16 KiB; pieces of a longer line carry no "\n" (but the last) and all
// the time of the first; a line without its end is held until there is one or the stream ends. The escapes are
// those that Docker's readers were written against.
#pragma once

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include <array>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <string>
#include <string_view>

namespace gantry::shim {

// Compiled as part of the function that calls it, for the processor that that one is for.
#define GANTRY_OF_ITS_CALLER inline __attribute__((always_inline))

inline constexpr size_t kLogPiece = 16384;

// The length of the valid UTF-8 sequence at the start of `text`, 0 if there is none.
inline size_t utf8_length(std::string_view text) {
  auto byte = [&](size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u; };
  auto follows = [&](size_t i) { return (byte(i) & 0xc0) == 0x80; };
  unsigned first = byte(0);
  if (first < 0x80) return text.empty() ? 0 : 1;
  if (first >= 0xc2 && first <= 0xdf) return follows(1) ? 2 : 0;
  if (first >= 0xe0 && first <= 0xef) {
    if (first == 0xe0 && byte(1) < 0xa0) return 0;  // overlong
    if (first == 0xed && byte(1) > 0x9f) return 0;  // surrogate
    return follows(1) && follows(2) ? 3 : 0;
  }
  if (first >= 0xf0 && first <= 0xf4) {
    if (first == 0xf0 && byte(1) < 0x90) return 0;
    if (first == 0xf4 && byte(1) > 0x8f) return 0;
    return follows(1) && follows(2) && follows(3) ? 4 : 0;
  }
  return 0;
}

// ASCII that stands for itself in Docker's JSON.
inline bool is_plain(unsigned char c) {
  return c >= 0x20 && c < 0x80 && c != '"' && c != '\\' && c != '<' && c != '>' && c != '&';
}

// Of sixteen bytes that are all ones or none a bit each, the first one's the lowest.
inline constexpr size_t kSixteen = 16;
template <class Sixteen>
inline uint32_t bits_of_sixteen(Sixteen bytes) {
#ifdef __SSE2__
  return static_cast<uint32_t>(_mm_movemask_epi8(reinterpret_cast<__m128i>(bytes)));
#else
  uint64_t halves[2];  // the product's highest byte has a bit of each byte
  std::memcpy(halves, &bytes, sizeof halves);
  for (uint64_t& half : halves) half = ((half & 0x0101010101010101) * 0x0102040810204080) >> 56;
  return static_cast<uint32_t>(halves[0] | halves[1] << 8);
#endif
}

// Of sixteen characters a bit each: those that are not plain.
inline uint32_t specials_of_sixteen(const char* text) {
  typedef signed char Sixteen __attribute__((vector_size(kSixteen)));
  Sixteen c;
  std::memcpy(&c, text, sizeof c);
  // Bytes from 0x80 are negative; '<' and '>' differ in one bit.
  return bits_of_sixteen((c < 0x20) | (c == '"') | (c == '\\') | ((c | 2) == '>') | (c == '&'));
}

// How many plain characters `text` begins with.
inline size_t plain_length(std::string_view text) {
  size_t length = 0;
  while (length + kSixteen <= text.size() && specials_of_sixteen(text.data() + length) == 0) length += kSixteen;
  while (length < text.size() && is_plain(static_cast<unsigned char>(text[length]))) ++length;
  return length;
}

// What a JSON text has in place of an ASCII character that is not plain.
struct JsonEscape {
  char text[7];
  uint8_t size;
};

constexpr JsonEscape json_escape(unsigned char c) {
  switch (c) {
    case '\n': return {"\\n", 2};
    case '\r': return {"\\r", 2};
    case '"': return {"\\\"", 2};
    case '\\': return {"\\\\", 2};
    default: break;
  }
  constexpr char kDigits[] = "0123456789abcdef";
  return {{'\\', 'u', '0', '0', kDigits[c >> 4], kDigits[c & 15]}, 6};
}

inline constexpr auto kJsonEscapes = [] {
  std::array<JsonEscape, 0x80> all;
  for (size_t c = 0; c < all.size(); ++c) all[c] = json_escape(static_cast<unsigned char>(c));
  return all;
}();

struct JsonCharacter {
  size_t length;  // of what it was
  size_t size;    // of what it is
};

// As put_json_character, of one that is not ASCII.
inline JsonCharacter put_json_sequence(std::string_view text, char* to) {
  const size_t length = utf8_length(text);
  if (length == 0) {
    std::memcpy(to, "\\ufffd", 6);
    return {1, 6};
  }
  const bool is_separator = length == 3 && text[0] == '\xe2' && text[1] == '\x80' && (text[2] == '\xa8' || text[2] == '\xa9');
  if (is_separator) {
    std::memcpy(to, text[2] == '\xa8' ? "\\u2028" : "\\u2029", 6);
    return {3, 6};
  }
  if (text.size() >= 4) std::memcpy(to, text.data(), 4);
  else std::memcpy(to, text.data(), length);
  return {length, length};
}

// Writes the first character of `text`, which is not plain, as the inside of a JSON text has it: up to six bytes, and what else
// fits in eight.
GANTRY_OF_ITS_CALLER JsonCharacter put_json_character(std::string_view text, char* to) {
  const auto c = static_cast<unsigned char>(text[0]);
  if (c >= 0x80) return put_json_sequence(text, to);
  const JsonEscape& escape = kJsonEscapes[c];
  std::memcpy(to, &escape, sizeof escape);
  return {1, escape.size};
}

inline void append_json_text(std::string& out, std::string_view text) {
  while (!text.empty()) {
    const size_t run = plain_length(text);
    out.append(text.data(), run);
    text.remove_prefix(run);
    if (text.empty()) return;
    char put[8];
    const JsonCharacter character = put_json_character(text, put);
    text.remove_prefix(character.length);
    out.append(put, character.size);
  }
}

// RFC 3339 with nanoseconds, trailing zeros dropped, as Go's RFC3339Nano. Not by gmtime_r: glibc's looks for the local time
// zone's file first, in whatever root it is by then.
class LogTime {
 public:
  void set(int64_t ns) {
    const int64_t seconds = ns / 1'000'000'000;
    if (seconds != seconds_ || length_ == 0) {
      set_second(seconds);
      seconds_ = seconds;
    }
    length_ = kSecondLength;
    const int64_t fraction = ns % 1'000'000'000;
    if (fraction != 0) {
      text_[length_] = '.';
      put_digits(text_ + length_ + 1, 9, fraction);
      length_ += 10;
      while (text_[length_ - 1] == '0') --length_;
    }
    text_[length_++] = 'Z';
  }
  std::string_view text() const { return {text_, length_}; }

 private:
  static constexpr size_t kSecondLength = sizeof "2006-01-02T15:04:05" - 1;

  static void put_digits(char* to, int count, int64_t number) {
    for (; count > 0; number /= 10) to[--count] = static_cast<char>('0' + number % 10);
  }
  void set_second(int64_t seconds) {
    const std::chrono::sys_seconds time{std::chrono::seconds(seconds)};
    const auto day = std::chrono::floor<std::chrono::days>(time);
    const std::chrono::year_month_day date(day);
    const std::chrono::hh_mm_ss clock(time - day);
    std::memcpy(text_, "0000-00-00T00:00:00", kSecondLength);
    put_digits(text_, 4, static_cast<int>(date.year()));
    put_digits(text_ + 5, 2, static_cast<unsigned>(date.month()));
    put_digits(text_ + 8, 2, static_cast<unsigned>(date.day()));
    put_digits(text_ + 11, 2, clock.hours().count());
    put_digits(text_ + 14, 2, clock.minutes().count());
    put_digits(text_ + 17, 2, clock.seconds().count());
  }

  char text_[48] = {};
  size_t length_ = 0;
  int64_t seconds_ = -1;
};

// `attributes`: a JSON object for "attrs", or empty.
inline void append_log_line(std::string& out, std::string_view text, bool newline, std::string_view stream,
                            std::string_view time, std::string_view attributes = {}) {
  out += "{\"log\":\"";
  append_json_text(out, text);
  if (newline) out += "\\n";
  out += "\",\"stream\":\"";
  out += stream;
  if (!attributes.empty()) {
    out += "\",\"attrs\":";
    out += attributes;
    out += ",\"time\":\"";
  } else {
    out += "\",\"time\":\"";
  }
  out += time;
  out += "\"}\n";
}

// The driver `local`: "o1764100000123456789 text\n". The letter is the stream, o or e; a capital one says that the text
// is a piece without its line end. The number is nanoseconds since 1970. The text is as the program wrote it: it has no
// "\n" inside, since every message ends at one.
inline void append_compact_line(std::string& out, std::string_view text, bool newline, std::string_view stream,
                                int64_t time) {
  char letter = stream == "stderr" ? 'e' : 'o';
  char head[32];
  int length = snprintf(head, sizeof head, "%c%lld ", newline ? letter : static_cast<char>(letter - 'a' + 'A'),
                        static_cast<long long>(time));
  out.append(head, static_cast<size_t>(length));
  out += text;
  out += '\n';
}

// Cuts one stream into messages; holds at most one unfinished piece.
class LineCutter {
 public:
  explicit LineCutter(const char* stream) : stream_(stream) {}

  // Calls `emit(text, newline, time)` for every message that `data`, read at `now`, completes.
  template <class Emit>
  void feed(std::string_view data, int64_t now, Emit emit) {
    while (!data.empty()) {
      size_t room = kLogPiece - held_.size();
      std::string_view window = data.substr(0, room);
      size_t end = window.find('\n');
      if (!in_line_) time_ = now;
      if (end != std::string_view::npos) {
        send(window.substr(0, end), true, emit);
        data.remove_prefix(end + 1);
        in_line_ = false;
      } else if (window.size() == room) {
        send(window, false, emit);
        data.remove_prefix(room);
        in_line_ = true;  // the next piece keeps this one's time
      } else {
        held_.append(window);
        data.remove_prefix(window.size());
        in_line_ = in_line_ || !held_.empty();
      }
    }
  }
  template <class Emit>
  void finish(Emit emit) {
    if (!held_.empty()) send({}, false, emit);
    in_line_ = false;
  }
  const char* stream() const { return stream_; }
  // The next byte is a line's first.
  bool at_line_start() const { return !in_line_; }

 private:
  template <class Emit>
  void send(std::string_view tail, bool newline, Emit emit) {
    if (held_.empty()) {
      emit(tail, newline, time_);
      return;
    }
    held_.append(tail);
    emit(std::string_view(held_), newline, time_);
    held_.clear();
  }

  const char* stream_;
  std::string held_;
  bool in_line_ = false;
  int64_t time_ = 0;
};

}  // namespace gantry::shim
