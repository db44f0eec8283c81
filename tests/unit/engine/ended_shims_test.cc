#include "engine/container/ended_shims.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "support/sim_world.h"

namespace gantry::engine {
namespace {

using namespace std::chrono_literals;

struct EndedShimsTest : testing::Test {
  void end(char name) {
    shims.add(id(name), [this, name] { gone += name; });
  }
  static ContainerId id(char name) { return ContainerId(std::string(1, name)); }

  test::SimWorld world{1};
  std::string gone;
  bool is_busy = false;
  EndedShims shims{world, [this] { return is_busy; }};
};

TEST_F(EndedShimsTest, GoWhenNoneHasEndedForAMoment) {
  end('a');
  world.run_for(30ms);
  end('b');
  world.run_for(30ms);
  EXPECT_EQ(gone, "");
  world.run_for(30ms);
  EXPECT_EQ(gone, "ab");
  end('c');
  world.run_for(30ms);
  shims.note_activity();
  world.run_for(30ms);
  EXPECT_EQ(gone, "ab");
  world.run_for(1s);
  EXPECT_EQ(gone, "abc");
}

TEST_F(EndedShimsTest, GoWhenNothingIsUnderWay) {
  end('a');
  is_busy = true;
  world.run_for(3s);
  EXPECT_EQ(gone, "");
  is_busy = false;
  world.run_for(40ms);
  EXPECT_EQ(gone, "");
  world.run_for(60ms);
  EXPECT_EQ(gone, "a");
}

TEST_F(EndedShimsTest, GoAfterSomeTimeWhereContainersEndWithoutPause) {
  std::string ended;
  for (int i = 0; i < 700; ++i) {
    end(static_cast<char>('a' + i % 6));
    ended += static_cast<char>('a' + i % 6);
    world.run_for(10ms);
  }
  EXPECT_EQ(gone, ended.substr(0, gone.size()));
  EXPECT_GE(gone.size(), 185U);
  EXPECT_LE(gone.size(), 205U);
}

TEST_F(EndedShimsTest, GoAFewAtATime) {
  for (int i = 0; i < 100; ++i) end('a');
  world.run_for(55ms);
  EXPECT_EQ(gone.size(), 16U);
  world.run_for(20ms);
  EXPECT_EQ(gone.size(), 32U);
  world.run_for(200ms);
  EXPECT_EQ(gone.size(), 100U);
}

TEST_F(EndedShimsTest, OneGoesAtOnceWhenItsContainerStartsAgain) {
  end('a');
  end('b');
  shims.let_go(id('b'));
  shims.let_go(id('c'));
  EXPECT_EQ(gone, "b");
  world.run_for(1s);
  EXPECT_EQ(gone, "ba");
}

TEST(EndedShims, GoWithTheirOwner) {
  test::SimWorld world{1};
  bool gone = false;
  {
    EndedShims shims(world, [] { return false; });
    shims.add(ContainerId("a"), [&] { gone = true; });
  }
  EXPECT_TRUE(gone);
  world.run_for(1s);
}

}  // namespace
}  // namespace gantry::engine
