#include "engine/container/container_name.h"

#include <algorithm>
#include <array>
#include <cctype>

namespace gantry::engine {
namespace {

constexpr std::array kMoods = {
    "agile",   "amber",  "brave",  "bright", "brisk",  "calm",   "clever", "crisp",  "daring", "deft",   "eager",
    "early",   "fair",   "fleet",  "fresh",  "gentle", "glad",   "golden", "grand",  "happy",  "hardy",  "honest",
    "jolly",   "keen",   "kind",   "lively", "loyal",  "lucid",  "lucky",  "mellow", "merry",  "mighty", "modest",
    "neat",    "nimble", "noble",  "patient", "plucky", "polite", "proud", "quick",  "quiet",  "ready",  "robust",
    "sharp",   "silent", "smart",  "solid",  "steady", "stoic",  "sturdy", "sunny",  "swift",  "tidy",   "trusty",
    "upbeat",  "valiant", "vivid", "warm",   "wise",   "witty",  "young",  "zealous", "zesty",
};
constexpr std::array kPeople = {
    "allen",     "archimedes", "babbage", "banach",   "bartik",   "blackwell", "bohr",     "boole",    "cantor",
    "carson",    "cerf",       "chandra", "clarke",   "curie",    "darwin",    "dijkstra", "easley",   "einstein",
    "elion",     "engelbart",  "euclid",  "euler",    "faraday",  "fermat",    "fermi",    "feynman",  "franklin",
    "galileo",   "gauss",      "goodall", "hamilton", "hawking",  "hertz",     "hopper",   "hypatia",  "jemison",
    "johnson",   "kepler",     "knuth",   "lamarr",   "lamport",  "liskov",    "lovelace", "maxwell",  "mcclintock",
    "meitner",   "mirzakhani", "newton",  "noether",  "pascal",   "perlman",   "planck",   "ramanujan", "ritchie",
    "sammet",    "shannon",    "tesla",   "thompson", "torvalds", "turing",    "vaughan",  "wilson",   "wu",
    "yalow",
};

}  // namespace

bool is_valid_name(std::string_view name) {
  const auto plain = [](char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0; };
  if (name.size() < 2 || !plain(name.front())) return false;
  return std::all_of(name.begin(), name.end(),
                     [&](char c) { return plain(c) || c == '_' || c == '.' || c == '-'; });
}

Result<> check_container_name(std::string_view name) {
  if (is_valid_name(name)) return {};
  return invalid("Invalid container name (" + std::string(name) + "), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed");
}

std::string invent_container_name(Random& random, int attempt) {
  std::string name = std::string(kMoods[random.below(kMoods.size())]) + "_" + kPeople[random.below(kPeople.size())];
  if (attempt >= 10) name += std::to_string(random.below(1'000'000));
  return name;
}

}  // namespace gantry::engine
