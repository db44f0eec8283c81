// How Docker's API answers: JSON bodies, errors as {"message": …}, the status of each kind of error.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "base/result.h"
#include "daemon/http_server.h"

namespace gantry::daemon::docker {

inline constexpr std::string_view kJson = "application/json";  // exactly this: Go's client compares the string
inline constexpr size_t kMaxJsonBody = 16 << 20;

int status_of(Code code);
// The answer to an error. A body only where HTTP allows one. No effect once the answer has begun.
void answer_error(Exchange& exchange, const Error& error);

Result<> send_json(Exchange& exchange, int status, const nlohmann::json& body);
Result<> send_nothing(Exchange& exchange);  // 204

// A JSON text with the newline that ends it. Texts that are no UTF-8 are mended.
std::string to_line(const nlohmann::json& value);

// The request's body as JSON: an object, or null if it is empty. Checks Content-Type.
// Errors in Docker's words: "invalid JSON: …".
Result<nlohmann::json> read_json(Exchange& exchange);

// One line of a progress stream that reports a failure after it has begun.
std::string error_line(const Error& error, int code = 0);

}  // namespace gantry::daemon::docker
