// Results of tests in JUnit's XML, as CI systems read it. Pure.
#pragma once

#include <string>
#include <vector>

namespace gantry::cli {

struct TestResult {
  std::string suite;
  std::string name;
  double seconds = 0;
  std::string failure;  // "": passed
  std::string output;   // of a failure
};

std::string junit_file(const std::vector<TestResult>& results);

}  // namespace gantry::cli
