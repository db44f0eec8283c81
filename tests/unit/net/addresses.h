// Addresses as text, for tests.
#pragma once

#include <string>

#include "net/address.h"

namespace gantry::net {

inline IpAddress ip(const std::string& text) { return *IpAddress::parse(text); }

}  // namespace gantry::net
