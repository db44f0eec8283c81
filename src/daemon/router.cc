#include "daemon/router.h"

#include <algorithm>

#include "base/strings.h"

namespace gantry::daemon {
namespace {

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

bool is_param(const std::string& segment) { return segment.starts_with('{'); }
bool is_greedy(const std::string& segment) { return segment.ends_with("...}"); }
std::string name_of(const std::string& segment) {
  return segment.substr(1, segment.size() - (is_greedy(segment) ? 5 : 2));
}

// "v1.43" → version; nothing if the segment is none.
std::optional<Result<ApiVersion>> parse_version(std::string_view segment) {
  if (!segment.starts_with('v') || segment.size() < 2 ||
      segment.find_first_not_of("0123456789.", 1) != std::string_view::npos) {
    return std::nullopt;
  }
  const std::string_view text = segment.substr(1);
  const size_t dot = text.find('.');
  const std::optional<uint64_t> major = parse_unsigned(text.substr(0, dot));
  const std::optional<uint64_t> minor =
      dot == std::string_view::npos ? std::optional<uint64_t>(0) : parse_unsigned(text.substr(dot + 1));
  if (!major || !minor || *major > 1000 || *minor > 1000) return invalid("invalid API version " + std::string(text));
  return ApiVersion{static_cast<unsigned>(*major), static_cast<unsigned>(*minor)};
}

Result<> check_version(const ApiVersion& version) {
  if (version > kMaxApiVersion) {
    return invalid("client version " + version.to_string() + " is too new. Maximum supported API version is " +
                   kMaxApiVersion.to_string());
  }
  if (version < kMinApiVersion) {
    return invalid("client version " + version.to_string() + " is too old. Minimum supported API version is " +
                   kMinApiVersion.to_string() + ", please upgrade your client to a newer version");
  }
  return {};
}

using Params = std::map<std::string, std::string>;

bool matches(std::span<const std::string> pattern, std::span<const std::string> path, Params& params) {
  while (!pattern.empty()) {
    if (path.empty()) return false;
    const std::string& segment = pattern.front();
    if (is_greedy(segment)) {
      const size_t fixed = pattern.size() - 1;
      if (path.size() < fixed + 1) return false;
      const size_t taken = path.size() - fixed;
      std::string value;
      for (size_t i = 0; i < taken; ++i) value += (i == 0 ? "" : "/") + url_decode(path[i], false);
      if (value.empty()) return false;
      params[name_of(segment)] = std::move(value);
      path = path.subspan(taken);
    } else if (is_param(segment)) {
      std::string value = url_decode(path.front(), false);
      if (value.empty()) return false;
      params[name_of(segment)] = std::move(value);
      path = path.subspan(1);
    } else {
      if (segment != path.front()) return false;
      path = path.subspan(1);
    }
    pattern = pattern.subspan(1);
  }
  return path.empty();
}

}  // namespace

std::string url_decode(std::string_view text, bool plus_is_space) {
  std::string decoded;
  decoded.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    const bool escape =
        text[i] == '%' && i + 2 < text.size() && hex_value(text[i + 1]) >= 0 && hex_value(text[i + 2]) >= 0;
    if (escape) {
      decoded += static_cast<char>(hex_value(text[i + 1]) * 16 + hex_value(text[i + 2]));
      i += 2;
    } else {
      decoded += plus_is_space && text[i] == '+' ? ' ' : text[i];
    }
  }
  return decoded;
}

Query::Query(std::string_view text) {
  for (const std::string& item : split(text, '&')) {
    if (item.empty()) continue;
    const size_t equals = item.find('=');
    const std::string_view name = std::string_view(item).substr(0, equals);
    const std::string_view value = equals == std::string::npos ? "" : std::string_view(item).substr(equals + 1);
    items_.emplace_back(url_decode(name, true), url_decode(value, true));
  }
}

bool Query::has(std::string_view name) const { return !get(name).empty(); }

std::string Query::get(std::string_view name) const {
  for (const auto& [key, value] : items_) {
    if (key == name) return value;
  }
  return {};
}

std::vector<std::string> Query::all(std::string_view name) const {
  std::vector<std::string> values;
  for (const auto& [key, value] : items_) {
    if (key == name && !value.empty()) values.push_back(value);
  }
  return values;
}

bool Query::flag(std::string_view name, bool fallback) const {
  const std::string value = to_lower(trim(get(name)));
  if (value.empty()) return fallback;
  return value != "0" && value != "no" && value != "false" && value != "none";
}

Result<std::optional<int64_t>> Query::number(std::string_view name) const {
  const std::string value = get(name);
  if (value.empty()) return std::optional<int64_t>();
  const bool negative = value.starts_with('-');
  const std::optional<uint64_t> size = parse_unsigned(std::string_view(value).substr(negative ? 1 : 0));
  if (!size || *size > INT64_MAX) {
    return invalid("invalid " + std::string(name) + " " + gantry::quoted(value) + ": expected a whole number");
  }
  const auto number = static_cast<int64_t>(*size);
  return std::optional<int64_t>(negative ? -number : number);
}

void Router::add(std::string method, std::string_view pattern, Handler handler) {
  routes_.push_back(
      {.method = std::move(method), .segments = split(pattern.substr(1), '/'), .handler = std::move(handler)});
}

Result<Router::Match> Router::find(const std::string& method, std::string_view target) const {
  const size_t question = target.find('?');
  const std::string_view path = target.substr(0, question);
  if (!path.starts_with('/')) return not_found("page not found");
  std::vector<std::string> segments = split(path.substr(1), '/');
  Match match;
  std::span<const std::string> rest(segments);
  if (std::optional<Result<ApiVersion>> version = parse_version(segments.front()); version && segments.size() > 1) {
    match.call.version = TRY(std::move(*version));
    TRY(check_version(match.call.version));
    rest = rest.subspan(1);
  }
  const std::string& wanted = method;
  for (const Route& route : routes_) {
    if (route.method != wanted) continue;
    Params params;
    if (!matches(route.segments, rest, params)) continue;
    match.handler = &route.handler;
    match.call.params = std::move(params);
    if (question != std::string_view::npos) match.call.query = Query(target.substr(question + 1));
    return match;
  }
  return not_found("page not found");
}

}  // namespace gantry::daemon
