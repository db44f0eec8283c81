#include "engine/image/reference.h"

#include <cctype>

#include "base/strings.h"

namespace gantry::engine {
namespace {

constexpr std::string_view kDefaultDomain = "docker.io";
constexpr std::string_view kLegacyDomain = "index.docker.io";
constexpr std::string_view kOfficialPrefix = "library/";
constexpr size_t kLongestName = 255;
constexpr size_t kLongestTag = 128;

bool is_lower_or_digit(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }
bool is_upper(char c) { return c >= 'A' && c <= 'Z'; }
bool is_alphanumeric(char c) { return is_lower_or_digit(c) || is_upper(c); }
bool is_hex(char c) { return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }

bool has_upper(std::string_view text) { return std::any_of(text.begin(), text.end(), is_upper); }

// [a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*
bool is_path_component(std::string_view text) {
  size_t at = 0;
  const auto take_word = [&] {
    const size_t from = at;
    while (at < text.size() && is_lower_or_digit(text[at])) ++at;
    return at > from;
  };
  if (!take_word()) return false;
  while (at < text.size()) {
    const size_t from = at;
    while (at < text.size() && text[at] == '-') ++at;
    if (at == from) {
      if (text[at] != '.' && text[at] != '_') return false;
      if (text[at] == '_' && at + 1 < text.size() && text[at + 1] == '_') ++at;
      ++at;
    }
    if (!take_word()) return false;
  }
  return true;
}

bool is_path(std::string_view text) {
  while (true) {
    const size_t slash = text.find('/');
    if (!is_path_component(text.substr(0, slash))) return false;
    if (slash == std::string_view::npos) return true;
    text.remove_prefix(slash + 1);
  }
}

bool is_dns_label(std::string_view label) {
  if (label.empty() || label.front() == '-' || label.back() == '-') return false;
  return std::all_of(label.begin(), label.end(), [](char c) { return is_alphanumeric(c) || c == '-'; });
}

// Labels or [ipv6], then perhaps ":port".
bool is_domain(std::string_view text) {
  if (text.starts_with('[')) {
    const size_t close = text.find(']');
    if (close == std::string_view::npos || close == 1) return false;
    const std::string_view address = text.substr(1, close - 1);
    if (!std::all_of(address.begin(), address.end(), [](char c) { return is_hex(c) || c == ':'; })) return false;
    text.remove_prefix(close + 1);
    if (text.empty()) return true;
    if (text.front() != ':') return false;
  } else {
    const size_t colon = text.find(':');
    std::string_view host = text.substr(0, colon);
    while (true) {
      const size_t dot = host.find('.');
      if (!is_dns_label(host.substr(0, dot))) return false;
      if (dot == std::string_view::npos) break;
      host.remove_prefix(dot + 1);
    }
    if (colon == std::string_view::npos) return true;
    text.remove_prefix(colon);
  }
  text.remove_prefix(1);
  return !text.empty() && std::all_of(text.begin(), text.end(), is_digit);
}

bool is_tag(std::string_view text) {
  if (text.empty() || text.size() > kLongestTag || text.front() == '.' || text.front() == '-') return false;
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return is_alphanumeric(c) || c == '_' || c == '.' || c == '-'; });
}

// The algorithms that Docker checks, with the number of their hexadecimal digits.
Result<> check_digest(std::string_view text) {
  const size_t colon = text.find(':');
  if (colon == std::string_view::npos || colon == 0) return invalid("invalid reference format");
  const std::string_view algorithm = text.substr(0, colon);
  const std::string_view digits = text.substr(colon + 1);
  if (!std::all_of(digits.begin(), digits.end(), is_hex) || digits.size() < 32) {
    return invalid("invalid reference format");
  }
  const size_t expected = algorithm == "sha256" ? 64 : algorithm == "sha512" ? 128 : 0;
  if (expected == 0) return invalid("unsupported digest algorithm");
  if (digits.size() != expected) return invalid("invalid checksum digest length");
  if (has_upper(digits)) return invalid("invalid checksum digest format");
  return {};
}

bool is_64_hex_digits(std::string_view text) {
  return text.size() == 64 &&
         std::all_of(text.begin(), text.end(), [](char c) { return is_digit(c) || (c >= 'a' && c <= 'f'); });
}

}  // namespace

Result<Reference> Reference::parse(std::string_view text) {
  if (is_64_hex_digits(text)) {
    return invalid("invalid repository name (" + std::string(text) + "), cannot specify 64-byte hexadecimal strings");
  }
  Reference reference;
  std::string_view rest = text;
  const size_t slash = rest.find('/');
  const std::string_view first = rest.substr(0, slash);
  const bool has_domain = slash != std::string_view::npos && (first.find_first_of(".:") != std::string_view::npos ||
                                                              first == "localhost" || has_upper(first));
  reference.domain = has_domain ? first : kDefaultDomain;
  if (has_domain) rest.remove_prefix(slash + 1);
  if (reference.domain == kLegacyDomain) reference.domain = kDefaultDomain;

  if (const size_t at = rest.find('@'); at != std::string_view::npos) {
    reference.digest = rest.substr(at + 1);
    rest = rest.substr(0, at);
    TRY(check_digest(reference.digest));
  }
  if (const size_t colon = rest.find(':'); colon != std::string_view::npos) {
    reference.tag = rest.substr(colon + 1);
    rest = rest.substr(0, colon);
    if (!is_tag(reference.tag)) return invalid("invalid reference format");
  }
  if (reference.domain == kDefaultDomain && rest.find('/') == std::string_view::npos) reference.path = kOfficialPrefix;
  reference.path += rest;
  if (has_upper(reference.path)) {
    return invalid("invalid reference format: repository name (" + reference.path + ") must be lowercase");
  }
  if (!is_domain(reference.domain) || !is_path(reference.path)) return invalid("invalid reference format");
  if (reference.path.size() > kLongestName) return invalid("repository name must not be more than 255 characters");
  if (reference.tag.empty() && reference.digest.empty()) reference.tag = "latest";
  return reference;
}

std::string Reference::familiar_name() const {
  if (domain != kDefaultDomain) return domain + "/" + path;
  const bool official =
      path.starts_with(kOfficialPrefix) && path.find('/', kOfficialPrefix.size()) == std::string::npos;
  return official ? path.substr(kOfficialPrefix.size()) : path;
}

std::string Reference::familiar() const {
  return familiar_name() + (tag.empty() ? "" : ":" + tag) + (digest.empty() ? "" : "@" + digest);
}

std::string Reference::canonical() const {
  return domain + "/" + path + (tag.empty() ? "" : ":" + tag) + (digest.empty() ? "" : "@" + digest);
}

}  // namespace gantry::engine
