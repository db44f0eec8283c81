#include "base/result.h"

#include <cerrno>
#include <cstdio>
#include <cstring>

namespace gantry {
namespace {

Code code_of(int errno_value) {
  switch (errno_value) {
    case ENOENT:
      return Code::not_found;
    case EACCES:
    case EPERM:
      return Code::forbidden;
    case ENOSPC:
    case EMFILE:
    case ENFILE:
    case ENOMEM:
    case EDQUOT:
      return Code::exhausted;
    default:
      return Code::internal;
  }
}

}  // namespace

Error Error::from_errno(int errno_value, std::string_view call, std::string_view object) {
  std::string message(call);
  if (!object.empty()) message.append(" ").append(object);
  message.append(": ").append(std::strerror(errno_value));
  Error error(code_of(errno_value), std::move(message));
  error.errno_value_ = errno_value;
  return error;
}

Error Error::within(std::string_view context) && {
  message_.insert(0, ": ").insert(0, context);
  return std::move(*this);
}

std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (unsigned char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += static_cast<char>(c);
    } else if (c < 0x20 || c == 0x7f) {
      char escaped[8];
      std::snprintf(escaped, sizeof escaped, "\\x%02x", c);
      out += escaped;
    } else {
      out += static_cast<char>(c);
    }
  }
  return out + "\"";
}

}  // namespace gantry
