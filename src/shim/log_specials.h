// Finds the characters that a JSON text cannot have as they are, as many at once as the processor looks at. Pure.
#pragma once

#ifdef __x86_64__
#include <immintrin.h>
#endif

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

}  // namespace gantry::shim
