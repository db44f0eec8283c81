// An answer of 400 and above as an Error: the other direction of daemon/docker/errors.cc.
#pragma once

#include <string>

#include "base/result.h"

namespace gantry::client {

// `body`: {"message": TEXT} or, before a connection is handed over, plain text. The text is the user's message.
Error error_of_answer(int status, const std::string& body);

}  // namespace gantry::client
