// Many short lines of one read at once, as records of either form: what log_line.h does with one line after the other, for
// programs that write as fast as they can. Pure.
#pragma once

#ifdef __x86_64__
#include <immintrin.h>
#include <sys/platform/x86.h>
#endif

#include <algorithm>
#include <cstring>
#include <string_view>

#include "shim/log_line.h"

namespace gantry::shim {

// What follows is written once for each width that processors copy and compare at once: it is compiled as part of the function
// that calls it, for that one's processor.
#define GANTRY_OF_ITS_CALLER inline __attribute__((always_inline))
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

// Copies kWidth characters. → how many plain ones they begin with
template <size_t kWidth>
size_t copy_plain(const char* from, char* to);

template <>
inline size_t copy_plain<kSixteen>(const char* from, char* to) {
  std::memcpy(to, from, kSixteen);
  return plain_of_sixteen(from);
}

#ifdef __x86_64__
// Bytes from 0x80 are negative; '<' and '>' differ in one bit.
template <>
__attribute__((target("avx2"))) inline size_t copy_plain<32>(const char* from, char* to) {
  const __m256i c = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), c);
  const __m256i below = _mm256_cmpgt_epi8(_mm256_set1_epi8(0x20), c);
  const __m256i quotes = _mm256_or_si256(_mm256_cmpeq_epi8(c, _mm256_set1_epi8('"')), _mm256_cmpeq_epi8(c, _mm256_set1_epi8('\\')));
  const __m256i angles = _mm256_cmpeq_epi8(_mm256_or_si256(c, _mm256_set1_epi8(2)), _mm256_set1_epi8('>'));
  const __m256i ampersands = _mm256_cmpeq_epi8(c, _mm256_set1_epi8('&'));
  const __m256i special = _mm256_or_si256(_mm256_or_si256(below, quotes), _mm256_or_si256(angles, ampersands));
  const auto bits = static_cast<unsigned>(_mm256_movemask_epi8(special));
  return bits == 0 ? 32 : static_cast<size_t>(__builtin_ctz(bits));
}

// A character is special if the tables of its two halves have a bit in common: one for the two rows of control characters, and one
// for each row with others. Bytes from 0x80 are negative.
template <>
__attribute__((target("avx512bw"))) inline size_t copy_plain<64>(const char* from, char* to) {
  constexpr char kControl = 1, kQuoteAmpersand = 2, kAngles = 4, kBackslash = 8;
  const __m512i c = _mm512_loadu_si512(from);
  _mm512_storeu_si512(to, c);
  const __m512i low = _mm512_broadcast_i32x4(_mm_setr_epi8(
      kControl, kControl, kControl | kQuoteAmpersand, kControl, kControl, kControl, kControl | kQuoteAmpersand, kControl,
      kControl, kControl, kControl, kControl, kControl | kAngles | kBackslash, kControl, kControl | kAngles, kControl));
  const __m512i high = _mm512_broadcast_i32x4(
      _mm_setr_epi8(kControl, kControl, kQuoteAmpersand, kAngles, 0, kBackslash, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0));
  const __m512i row = _mm512_and_si512(_mm512_srli_epi16(c, 4), _mm512_set1_epi8(0x0f));
  const __mmask64 special = _mm512_test_epi8_mask(_mm512_shuffle_epi8(low, c), _mm512_shuffle_epi8(high, row));
  const uint64_t bits = _cvtmask64_u64(_kor_mask64(special, _mm512_movepi8_mask(c)));
  return bits == 0 ? 64 : static_cast<size_t>(__builtin_ctzll(bits));
}
#endif

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

// A text of a piece's size, six bytes a character, and what is copied beyond its and the record's end.
inline constexpr size_t kMostText = 6 * kLogPiece + kWidest;

inline char* copy_bytes(char* to, std::string_view bytes) {
  std::memcpy(to, bytes.data(), bytes.size());
  return to + bytes.size();
}

// Copies `from` up to its first '\n' as the inside of a JSON string and sets `from` to that place; null: it has none.
// As append_json_text, but it copies kWidth bytes while it looks at them. `to` has kMostText bytes.
template <size_t kWidth>
GANTRY_OF_ITS_CALLER char* copy_json_line(std::string_view& from, char* to) {
  while (!from.empty()) {
    if (from.size() >= kWidth) {
      __builtin_prefetch(from.data() + kAhead);
      const size_t plain = copy_plain<kWidth>(from.data(), to);
      to += plain;
      from.remove_prefix(plain);
      if (plain == kWidth) continue;
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

template <size_t kWidth, class CopyLine>
GANTRY_OF_ITS_CALLER void append_lines(RecordSpace& space, std::string_view& data, const RecordFrame& frame, CopyLine copy_line) {
  const size_t needed = frame.size() + kMostText;
  while (!data.empty() && space.room() >= needed) {
    std::string_view line = data.substr(0, kLogPiece);
    char* to = copy_line(line, frame.head.copy_to<kWidth>(space.at()));
    if (to == nullptr) return;
    space.set_at(frame.tail.copy_to<kWidth>(to));
    data.remove_prefix(static_cast<size_t>(line.data() - data.data()) + 1);
  }
}

// These append records of the whole lines that `data` begins with, and remove those lines from it: until a line has no end, is
// longer than a piece (LineCutter's work), or `space` may have no room for it.
using AppendLines = void (*)(RecordSpace& space, std::string_view& data, const RecordFrame& frame);

inline void append_compact_lines(RecordSpace& space, std::string_view& data, const RecordFrame& frame) {
  append_lines<kSixteen>(space, data, frame, copy_compact_line);
}

inline void append_json_lines_16(RecordSpace& space, std::string_view& data, const RecordFrame& frame) {
  append_lines<kSixteen>(space, data, frame, copy_json_line<kSixteen>);
}

#ifdef __x86_64__
__attribute__((target("avx2"))) inline void append_json_lines_32(RecordSpace& space, std::string_view& data, const RecordFrame& frame) {
  append_lines<32>(space, data, frame, copy_json_line<32>);
}

__attribute__((target("avx512bw"))) inline void append_json_lines_64(RecordSpace& space, std::string_view& data,
                                                                     const RecordFrame& frame) {
  append_lines<64>(space, data, frame, copy_json_line<64>);
}
#endif

// The quickest one of this processor.
inline AppendLines append_json_lines() {
#ifdef __x86_64__
  // The C library's answer, found at its start. The compiler's asks the processor ten times more, as each shim starts, and in a
  // virtual machine each time is an exit to the host.
  if (CPU_FEATURE_ACTIVE(AVX512BW)) return append_json_lines_64;
  if (CPU_FEATURE_ACTIVE(AVX2)) return append_json_lines_32;
#endif
  return append_json_lines_16;
}

#undef GANTRY_OF_ITS_CALLER

}  // namespace gantry::shim
