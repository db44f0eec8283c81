// Small text functions that several folders need. Pure; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace gantry {

constexpr bool is_digit(char c) { return c >= '0' && c <= '9'; }

std::vector<std::string> split(std::string_view text, char separator);  // "" gives one empty piece
std::string join(std::span<const std::string> pieces, std::string_view separator);
std::string_view trim(std::string_view text);  // ASCII white space at both ends
std::string to_lower(std::string_view text);   // ASCII
bool equals_ignoring_case(std::string_view a, std::string_view b);
std::string to_hex(std::span<const uint8_t> bytes);

// Whole text as a decimal number, no sign, no spaces; nothing on overflow.
std::optional<uint64_t> parse_unsigned(std::string_view text);

// The candidate nearest to `word` by edit distance, if it is near enough to be a likely typing slip:
// for "did you mean …?".
std::optional<std::string> nearest(std::string_view word, std::span<const std::string> candidates);

// One character of UTF-8.
void append_utf8(std::string& out, uint32_t code);

// SHA-256 as 64 hexadecimal digits.
std::string sha256_hex(std::string_view data);

// Standard base64 with padding; decode accepts both alphabets and missing padding.
std::string base64_encode(std::string_view data);
std::optional<std::string> base64_decode(std::string_view text);

}  // namespace gantry
