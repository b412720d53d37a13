"""The agent's network, and the probability of a rise that is read off it."""

import numpy as np
import pytest
import torch
from tradingai.engine.core.errors import ArtifactError
from tradingai.engine.models.calibration import sigmoid
from tradingai.engine.models.policy import (
    FLAT,
    LONG,
    SHORT,
    PolicyConfig,
    PolicyNetwork,
    RisePolicy,
    build_policy,
    rise_logits,
)


def network(coins=3, inputs=5, seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        made = PolicyNetwork(PolicyConfig(coins, inputs, hidden=7, width=6)).eval()
        torch.nn.init.normal_(made.actor.weight)
        return made


def test_the_rise_is_long_and_half_of_flat():
    logits = torch.randn(50, 3, generator=torch.Generator().manual_seed(1)) * 5
    policy = torch.softmax(logits.double(), dim=-1)
    expected = policy[:, LONG] + 0.5 * policy[:, FLAT]
    np.testing.assert_allclose(sigmoid(rise_logits(logits).double().numpy()), expected.numpy(), atol=1e-6)
    assert rise_logits(torch.tensor([0.3, 9.0, 0.3])) == 0.0


def test_a_policy_that_is_nearly_sure_keeps_its_digits():
    assert float(rise_logits(torch.tensor([-60.0, -80.0, 40.0]))) == pytest.approx(100.0, abs=1.0)
    assert float(rise_logits(torch.tensor([0.0, 40.0, 1.0]))) > 0.0


def test_an_untrained_agent_rather_keeps_its_position():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        fresh = PolicyNetwork(PolicyConfig(1, 5))
    for held in (SHORT, FLAT, LONG):
        logits, _ = fresh(torch.randn(1, 200, 5), torch.full((1, 200), held))
        chosen = torch.softmax(logits, dim=-1).mean(dim=(0, 1))
        assert chosen.argmax() == held
        assert chosen[held] > 0.7


def test_each_coin_has_a_layer_of_its_own_and_a_row_is_judged_by_itself():
    made = network()
    scaled, position = torch.randn(3, 20, 5), torch.randint(3, (3, 20))
    logits, value = made(scaled, position)
    assert logits.shape == (3, 20, 3)
    assert value.shape == (3, 20)
    for coin in range(3):
        by_position = made.one_coin(coin, scaled[coin])
        chosen = by_position[torch.arange(20), position[coin]]
        torch.testing.assert_close(chosen, logits[coin], atol=1e-6, rtol=1e-5)
    swapped, _ = made(scaled[[1, 0, 2]], position[[1, 0, 2]])
    assert not torch.allclose(swapped[0], logits[1])
    one, _ = made(scaled[:, :1], position[:, :1])
    torch.testing.assert_close(one, logits[:, :1], atol=1e-6, rtol=1e-5)


def test_everything_else_asks_it_flat_and_it_has_no_memory():
    made = network()
    wide = torch.randn(4, 2, 15)
    with torch.inference_mode():
        logits, state = RisePolicy(made)(wide)
        assert logits.shape == (4, 2, 3)
        assert state is None
        for coin in range(3):
            rows = wide[..., 5 * coin : 5 * coin + 5].reshape(8, 5)
            flat = rise_logits(made.one_coin(coin, rows)[:, FLAT]).reshape(4, 2)
            torch.testing.assert_close(logits[..., coin], flat, atol=1e-6, rtol=1e-5)
        alone, _ = RisePolicy(made)(wide[2:3, 1:2])
        torch.testing.assert_close(alone[0, 0], logits[2, 1], atol=1e-6, rtol=1e-5)


def test_it_is_built_again_from_its_weights_and_others_are_refused():
    made = network()
    before = torch.get_rng_state()
    again = build_policy(made.config.as_dict(), made.state_dict())
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(x, y) for x, y in zip(made.parameters(), again.parameters(), strict=True))
    with pytest.raises(ArtifactError, match="do not fit"):
        build_policy(PolicyConfig(2, 5).as_dict(), made.state_dict())
    with pytest.raises(ArtifactError, match="damaged network configuration"):
        build_policy({"coins": 2}, made.state_dict())
