// Finds the characters that a JSON text cannot have as they are, and escapes the frequent ones, as many at once as the processor can.
// Pure.
#pragma once

#ifdef __x86_64__
#include <immintrin.h>
#endif

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "shim/log_line.h"

namespace gantry::shim {

// Copies kWidth characters. → a bit for each, the first one's the lowest: those that are not plain
template <size_t kWidth>
uint64_t copy_and_find_specials(const char* from, char* to);

template <>
inline uint64_t copy_and_find_specials<kSixteen>(const char* from, char* to) {
  std::memcpy(to, from, kSixteen);
  return specials_of_sixteen(from);
}

#ifdef __x86_64__
// Bytes from 0x80 are negative; '<' and '>' differ in one bit.
template <>
__attribute__((target("avx2"))) inline uint64_t copy_and_find_specials<32>(const char* from, char* to) {
  const __m256i c = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), c);
  const __m256i below = _mm256_cmpgt_epi8(_mm256_set1_epi8(0x20), c);
  const __m256i quotes = _mm256_or_si256(_mm256_cmpeq_epi8(c, _mm256_set1_epi8('"')), _mm256_cmpeq_epi8(c, _mm256_set1_epi8('\\')));
  const __m256i angles = _mm256_cmpeq_epi8(_mm256_or_si256(c, _mm256_set1_epi8(2)), _mm256_set1_epi8('>'));
  const __m256i ampersands = _mm256_cmpeq_epi8(c, _mm256_set1_epi8('&'));
  const __m256i special = _mm256_or_si256(_mm256_or_si256(below, quotes), _mm256_or_si256(angles, ampersands));
  return static_cast<uint32_t>(_mm256_movemask_epi8(special));
}

// A character is special if the tables of its two halves have a bit in common: one for the two rows of control characters, and one
// for each row with others. Bytes from 0x80 are negative.
template <>
__attribute__((target("avx512bw"))) inline uint64_t copy_and_find_specials<64>(const char* from, char* to) {
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
  return _cvtmask64_u64(_kor_mask64(special, _mm512_movepi8_mask(c)));
}
#endif

// Of kWidth characters a bit each: those that are one of the `count` from `first`.
template <size_t kWidth>
uint64_t in_range(const char* text, unsigned char first, unsigned char count);

template <>
inline uint64_t in_range<kSixteen>(const char* text, unsigned char first, unsigned char count) {
  typedef unsigned char Sixteen __attribute__((vector_size(kSixteen)));
  Sixteen c;
  std::memcpy(&c, text, sizeof c);
  return bits_of_sixteen(c - first < count);
}

#ifdef __x86_64__
template <>
__attribute__((target("avx2"))) inline uint64_t in_range<32>(const char* text, unsigned char first, unsigned char count) {
  const __m256i c = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(text));
  const __m256i from_first = _mm256_sub_epi8(c, _mm256_set1_epi8(static_cast<char>(first)));
  const __m256i last = _mm256_set1_epi8(static_cast<char>(count - 1));
  return static_cast<uint32_t>(_mm256_movemask_epi8(_mm256_cmpeq_epi8(_mm256_max_epu8(from_first, last), last)));
}

template <>
__attribute__((target("avx512bw"))) inline uint64_t in_range<64>(const char* text, unsigned char first, unsigned char count) {
  const __m512i from_first = _mm512_sub_epi8(_mm512_loadu_si512(text), _mm512_set1_epi8(static_cast<char>(first)));
  return _cvtmask64_u64(_mm512_cmplt_epu8_mask(from_first, _mm512_set1_epi8(static_cast<char>(count))));
}

#define GANTRY_EXPANDS __attribute__((target("avx512bw,avx512vbmi2,bmi,bmi2,popcnt")))

// Copies the first `count` of 64 characters with a backslash before each of `quotes`: what a JSON text has for '"' and '\\'. Each
// character is made two, of which the first is left out elsewhere. → its end; writes up to 64 bytes beyond
GANTRY_EXPANDS inline char* copy_quoted(const char* from, size_t count, uint64_t quotes, char* to) {
  constexpr uint64_t kFirsts = 0x5555555555555555;
  for (size_t i = 0; i < count; i += 32) {
    const __m256i c = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from + i));
    const __m512i pairs = _mm512_or_si512(_mm512_slli_epi16(_mm512_cvtepu8_epi16(c), 8), _mm512_set1_epi16('\\'));
    uint64_t kept = ~kFirsts | _pdep_u64(quotes >> i, kFirsts);
    if (count - i < 32) kept &= (uint64_t{1} << 2 * (count - i)) - 1;
    _mm512_storeu_si512(to, _mm512_maskz_compress_epi8(kept, pairs));
    to += std::popcount(kept);
  }
  return to;
}
#endif

// Of kWidth characters a bit each: the bytes of well-formed UTF-8 sequences of two and three that stand for themselves, as
// utf8_length() and put_json_sequence() have it, one by one.
template <size_t kWidth>
GANTRY_OF_ITS_CALLER uint64_t plain_sequences_of(const char* text) {
  const auto is = [text](unsigned char first, unsigned char count) __attribute__((always_inline)) {
    return in_range<kWidth>(text, first, count);
  };
  const uint64_t follows = is(0x80, 0x40), follows_low = is(0x80, 0x20), follows_high = follows & ~follows_low;
  const uint64_t two = is(0xc2, 0x1e) & follows >> 1;
  const uint64_t overlong = is(0xe0, 1) & follows_low >> 1, surrogate = is(0xed, 1) & follows_high >> 1;
  const uint64_t separator = is(0xe2, 1) & is(0x80, 1) >> 1 & is(0xa8, 2) >> 2;
  const uint64_t three = is(0xe0, 0x10) & follows >> 1 & follows >> 2 & ~(overlong | surrogate | separator);
  return two | two << 1 | three | three << 1 | three << 2;
}

}  // namespace gantry::shim
