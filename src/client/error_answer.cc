#include "client/error_answer.h"

#include <nlohmann/json.hpp>

#include "base/strings.h"

namespace gantry::client {
namespace {

Code code_of_status(int status) {
  switch (status) {
    case 304:
      return Code::not_modified;
    case 400:
      return Code::invalid;
    case 401:
      return Code::unauthorized;
    case 403:
      return Code::forbidden;
    case 404:
      return Code::not_found;
    case 409:
      return Code::conflict;
    case 499:
      return Code::cancelled;
    case 501:
      return Code::unsupported;
    case 503:
      return Code::unavailable;
    default:
      return Code::internal;
  }
}

}  // namespace

Error error_of_answer(int status, const std::string& body) {
  std::string message;
  const nlohmann::json answer = nlohmann::json::parse(body, nullptr, /*allow_exceptions=*/false);
  if (answer.is_object() && answer.contains("message") && answer["message"].is_string()) {
    message = answer["message"].get<std::string>();
  } else {
    message = std::string(trim(body));
  }
  if (message.empty()) message = "the daemon answered with HTTP status " + std::to_string(status);
  return {code_of_status(status), message};
}

}  // namespace gantry::client
