// The hash that decides recreation: lower-case hexadecimal SHA-256 of the service's canonical JSON without
// what may change without a new container (build, pull_policy, scale, deploy.replicas, depends_on, profiles).
// `config --hash` and the label com.docker.compose.config-hash agree. Pure.
#pragma once

#include <string>

#include "compose/project.h"

namespace gantry::compose {

std::string config_hash(const Service& service);
// The part of a service's canonical JSON that counts.
std::string hashed_part(const std::string& canonical_json);
std::string config_hash(const Network& network);
std::string config_hash(const Volume& volume);

}  // namespace gantry::compose
