// What the gantry commands share: asking the API for JSON, and doing the same to several things.
#pragma once

#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "base/result.h"
#include "cli/list_format.h"
#include "cli/session.h"

namespace gantry::cli {

// The body of an answer, parsed. Errors: the daemon's message, or a body that is no JSON.
Result<Value> api_json(Session& session, const std::string& method, const std::string& path, const std::string& body = {});

// GET: the whole body to a file of that name ("" = standard output), which appears when it is complete.
Result<> save_stream(Session& session, const std::string& request, const std::string& output);

// Does the same to each and prints its name; a failure does not keep the others from it. → 1 if any failed
Result<int> for_each_name(Session& session, const std::vector<std::string>& names,
                          const std::function<Result<>(client::ApiClient&, const std::string&)>& act);

// Members that may be missing or of another type read as empty.
std::string text_of(const Value& object, const char* member);
int64_t number_of(const Value& object, const char* member);
const Value& member_of(const Value& object, const char* member);

// --filter KEY=VALUE … as the query value of `filters`; "" without any. Errors: one without "=".
Result<std::string> filters_of(const Arguments& arguments);
// `?a=b&c=d` from what is not empty.
std::string query_of(const std::vector<std::pair<std::string, std::string>>& parameters);

// "2026-01-02 15:04:05 +0000 UTC": unix seconds in the machine's time zone.
std::string local_time_text(int64_t seconds);
// "12 minutes ago"
std::string age_text(const Session& session, int64_t created);
// "a=b,c=d"
std::string labels_text(const Value& labels);

// "Are you sure …? [y/N]" on standard error; true if the answer is yes. Not a terminal and no answer: no.
bool confirmed(Session& session, const std::string& question);

}  // namespace gantry::cli
