#include "daemon/docker/answers.h"

#include <nlohmann/json.hpp>

#include "base/strings.h"

namespace gantry::daemon::docker {

using nlohmann::json;

int status_of(Code code) {
  switch (code) {
    case Code::invalid:
      return 400;
    case Code::not_found:
      return 404;
    case Code::conflict:
      return 409;
    case Code::not_modified:
      return 304;
    case Code::unauthorized:
      return 401;
    case Code::forbidden:
      return 403;
    case Code::unsupported:
      return 501;
    case Code::unavailable:
      return 503;
    case Code::cancelled:
      return 499;
    case Code::internal:
    case Code::exhausted:
      return 500;
  }
  return 500;
}

std::string to_line(const json& value) { return value.dump(-1, ' ', false, json::error_handler_t::replace) + "\n"; }

void answer_error(Exchange& exchange, const Error& error) {
  if (exchange.answered()) return;
  // The client sees a broken connection if even this fails; nothing is left to be done for it.
  (void)exchange.send(status_of(error.code()), to_line({{"message", error.message()}}), kJson).ok();
}

Result<> send_json(Exchange& exchange, int status, const json& body) {
  return exchange.send(status, to_line(body), kJson);
}

Result<> send_nothing(Exchange& exchange) { return exchange.send(204, "", ""); }

Result<json> read_json(Exchange& exchange) {
  const std::string body = TRY(exchange.read_body(kMaxJsonBody));
  if (trim(body).empty()) return json();
  const std::string type = exchange.request().headers.get("content-type");
  const std::string kind = to_lower(trim(std::string_view(type).substr(0, type.find(';'))));
  if (kind != "application/json") {
    return invalid("unsupported Content-Type header (" + type + "): must be 'application/json'");
  }
  json value = json::parse(body, nullptr, /*allow_exceptions=*/false);
  if (value.is_discarded()) return invalid("invalid JSON: the request's body is not valid JSON");
  if (!value.is_object() && !value.is_null()) return invalid("invalid JSON: expected an object");
  return value;
}

std::string error_line(const Error& error, int code) {
  json detail = {{"message", error.message()}};
  if (code != 0) detail["code"] = code;
  std::string line = to_line({{"errorDetail", std::move(detail)}, {"error", error.message()}});
  line.insert(line.size() - 1, "\r");
  return line;
}

}  // namespace gantry::daemon::docker
