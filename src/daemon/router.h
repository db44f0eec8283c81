// Which handler serves a request: one table of methods and path patterns, and the API version in front of a path.
// Pure; filled at start, then only read, from any thread.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "daemon/http_server.h"

namespace gantry::daemon {

// Of Docker's API: 1.24 … 1.50.
struct ApiVersion {
  unsigned major = 1;
  unsigned minor = 50;
  friend auto operator<=>(const ApiVersion&, const ApiVersion&) = default;
  std::string to_string() const { return std::to_string(major) + "." + std::to_string(minor); }
};
inline constexpr ApiVersion kMaxApiVersion{1, 50};
inline constexpr ApiVersion kMinApiVersion{1, 24};

// The query's parameters, decoded. A name may come several times; names are matched exactly.
class Query {
 public:
  Query() = default;
  explicit Query(std::string_view text);         // "a=1&b=x%20y"
  bool has(std::string_view name) const;         // given and not empty
  std::string get(std::string_view name) const;  // the first; "" if missing
  std::vector<std::string> all(std::string_view name) const;
  // Docker's truth: "", "0", "no", "false", "none" (any case, trimmed) are false, everything else is true.
  bool flag(std::string_view name, bool fallback = false) const;
  // Code::invalid if it is given and no number.
  Result<std::optional<int64_t>> number(std::string_view name) const;

 private:
  std::vector<std::pair<std::string, std::string>> items_;
};

// "%2F" → "/", and in queries "+" → " ". Wrong escapes stay as they are.
std::string url_decode(std::string_view text, bool plus_is_space);

// What a handler is given besides the exchange.
struct Call {
  std::map<std::string, std::string> params;  // of the pattern
  Query query;
  ApiVersion version = kMaxApiVersion;
  const std::string& operator[](const std::string& name) const { return params.at(name); }
};

class Router {
 public:
  // An error is answered as Docker does ({"message": …}) unless the answer has begun.
  using Handler = std::function<Result<>(Exchange&, const Call&)>;

  // Pattern: "/containers/{id}/json"; "{name...}" stands for one or more segments ("/images/{name...}/json").
  // Of two patterns that match, the one added first wins.
  void add(std::string method, std::string_view pattern, Handler handler);

  struct Match {
    const Handler* handler = nullptr;
    Call call;
  };
  // Code::not_found "page not found" for an unknown path or method; Code::invalid for a version out of range.
  Result<Match> find(const std::string& method, std::string_view target) const;

 private:
  struct Route {
    std::string method;
    std::vector<std::string> segments;
    Handler handler;
  };
  std::vector<Route> routes_;
};

}  // namespace gantry::daemon
