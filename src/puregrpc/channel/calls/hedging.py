"""Hedging (gRFC A6): a call that is several calls on the wire, until one of them has an answer."""

from __future__ import annotations

from contextlib import suppress
from math import inf
from typing import TYPE_CHECKING, Any

from puregrpc.channel.calls.call import ClientCall, RequestT, ResponseT
from puregrpc.channel.calls.outcome import CANCELLED_HERE, TWO_MESSAGES
from puregrpc.channel.calls.retry import RetryThrottle, TransparentRetries, after_attempts, pushback_of
from puregrpc.channel.calls.unary import UnaryCall
from puregrpc.channel.details import CallDetails, Deserializer, Serializer
from puregrpc.channel.service_config.policies import HedgingPolicy
from puregrpc.errors import NotConnected, RpcError
from puregrpc.kernel import Task, Waiter
from puregrpc.transport import ClientSession
from puregrpc.wire.connection import Call, Metadata
from puregrpc.wire.status import Status, StatusCode

if TYPE_CHECKING:
    from puregrpc.channel.core import ChannelCore

__all__ = ["HedgedCall", "Hedges", "client_call", "hedged_exchange"]


class Hedges(TransparentRetries):
    """Which attempts of a call have been begun, and when the next one is due."""

    __slots__ = ("_begun", "_policy", "_repeated", "_throttle", "due")

    def __init__(self, policy: HedgingPolicy, throttle: RetryThrottle) -> None:
        super().__init__()
        self.due = -inf
        """When the next attempt is due; inf: there is none."""
        self._policy = policy
        self._throttle = throttle
        self._begun = 0
        self._repeated: list[int] = []

    def begin(self, now: float) -> int:
        """Begin the attempt that is due; gives how many went before it, as the server is told.

        The next one is due after the policy's delay.
        """
        if self._repeated:
            number = self._repeated.pop()
        else:
            number = self._begun
            self._begun += 1
        if self._repeated:
            self.due = -inf
        else:
            self.due = inf if self._begun >= self._policy.attempts else now + self._policy.hedging_delay
        return number

    def is_allowed(self) -> bool:
        """Whether the attempt that is due is begun: while most calls fail it is not, and none after it."""
        if self._begun and not self._repeated and not self._throttle.is_open:
            self.due = inf
        return self.due < inf

    def failed(
        self,
        number: int,
        status: Status,
        trailers: Metadata,
        now: float,
        *,
        unprocessed: bool = False,
        sent: bool = True,
    ) -> bool:
        """The attempt ``number`` ended without headers: whether the call goes on with others, begun or to come."""
        if unprocessed and self.allow(sent=sent):
            self.repeat(number)
            return True
        pushback = pushback_of(trailers)
        refused = pushback is not None and pushback < 0
        covered = self._policy.covers(status.code)
        if (covered or refused) and (not self._throttle.failed() or refused):
            self.stop()
        if not covered:
            return False
        if self._begun < self._policy.attempts:
            self.due = now if pushback is None else now + pushback
        return True

    def ended(self, status: Status) -> None:
        """The attempt that is the call has ended: for the throttle."""
        if not status.code:
            self._throttle.succeeded()
        elif self._policy.covers(status.code):
            self._throttle.failed()

    def repeat(self, number: int) -> None:
        """An attempt is to be begun again, at once."""
        self._repeated.append(number)
        self.due = -inf

    def stop(self) -> None:
        """Begin no other."""
        self._begun = MANY
        self._repeated.clear()
        self.due = inf


MANY = 1 << 30
"""As many attempts as no policy allows."""


BETWEEN_ATTEMPTS = Status(StatusCode.DEADLINE_EXCEEDED, "the deadline passed between two attempts")


class HedgedAttempt(Call):
    """One attempt, on one session."""

    inflates_messages = True

    __slots__ = ("number", "owner", "session")

    def __init__(self, owner: HedgedCall[Any, Any], session: ClientSession, number: int) -> None:
        super().__init__()
        self.auto_consume = False
        self.owner = owner
        self.session = session
        self.number = number

    def on_headers(self, metadata: Metadata) -> None:
        self.owner.choose(self)
        self.owner.on_headers(metadata)

    def on_message(self, message: bytes) -> None:
        self.owner.on_message(message)

    def on_writable(self) -> None:
        self.owner.on_writable()

    def on_end(self, status: Status, trailers: Metadata, *, unprocessed: bool) -> None:
        if status.code:
            self.session.calls_failed += 1
        self.session.over(self)
        self.owner.attempt_ended(self, status, trailers, unprocessed=unprocessed)


class HedgedCall(ClientCall[RequestT, ResponseT]):
    """A `ClientCall` with a hedging policy.

    Until one attempt is the call, what is sent goes to all that run. A task begins those that are to come.
    """

    __slots__ = ("_chosen", "_hedges", "_hedging", "_pause", "_running")

    def __init__(
        self,
        core: ChannelCore,
        details: CallDetails,
        policy: HedgingPolicy,
        *,
        serialize: Serializer[RequestT] | None = None,
        deserialize: Deserializer[ResponseT] | None = None,
        only_request: bytes | None = None,
    ) -> None:
        super().__init__(core, details, serialize=serialize, deserialize=deserialize, only_request=only_request)
        self._hedges = Hedges(policy, core.throttle)
        self._running: list[HedgedAttempt] = []
        """Attempts that are not over: all of them, or the one that is the call."""
        self._chosen = False
        """One attempt is the call."""
        self._hedging: Task | None = None
        self._pause: Waiter | None = None

    async def open_prepared(self) -> None:
        """Begin the first attempt; the details are prepared already."""
        try:
            await self._open()
        except BaseException:
            self.cancel()
            raise

    # -- attempts

    async def _open(self) -> None:
        await self._begin_attempt()
        if self._core.kernel.locked(self._may_have_others):
            self._hedging = self._core.kernel.spawn(self._hedge)

    def _is_wanted(self) -> bool:
        return self._status is None and not self._chosen

    def _begin(self, session: ClientSession) -> None:
        if not self._is_wanted():
            return
        now, hedges = self._core.kernel.now(), self._hedges
        attempt = HedgedAttempt(self, session, hedges.begin(now))
        if not self._running:
            self._session = session
        self._running.append(attempt)
        try:
            self._open_attempt(session, attempt, after_attempts(self._details.request, attempt.number), now)
        except BaseException:
            if attempt in self._running:
                self._running.remove(attempt)
                hedges.repeat(attempt.number)
            raise
        self._notify()

    def _may_have_others(self) -> bool:
        return self._is_wanted() and (self._hedges.due < inf or bool(self._running))

    async def _hedge(self) -> None:
        """Begin the attempts that are to come, until there is none or one is the call."""
        kernel = self._core.kernel
        while (step := kernel.locked(self._next_step)) is not None:
            waiter, until = step
            if until > kernel.now():
                await waiter.wait(until)
                continue
            try:
                await self._begin_attempt()
            except RpcError as error:
                kernel.locked(self._could_not_begin, Status(error.code, error.message, error.details_bin))
            except Exception:
                kernel.locked(self._give_up)
                raise

    def _next_step(self) -> tuple[Waiter, float] | None:
        """What tells of a change, and when the next attempt is due; None: there is none any more."""
        self._pause = None
        if not self._may_have_others():
            return None
        self._hedges.is_allowed()
        self._pause = self._core.kernel.waiter()
        return self._pause, self._hedges.due

    def _wake_hedging(self) -> None:
        if self._pause is not None:
            self._pause.wake()
        if self._is_picking and not self._is_wanted():
            self._core.give_up_waiting()

    def _could_not_begin(self, status: Status) -> None:
        """There is no connection for an attempt: no other will fare better, but those that run may."""
        if not self._is_wanted():
            return
        self._hedges.stop()
        if not self._running:
            self._finish(status, ())

    def _give_up(self) -> None:
        if self._status is None:
            self._reset()
            self._finish(CANCELLED_HERE, ())

    def choose(self, attempt: HedgedAttempt) -> None:
        """This attempt is the call. The others are cancelled."""
        if self._chosen:
            return
        self._chosen = True
        others = [other for other in self._running if other is not attempt]
        self._running = [attempt]
        self._session = attempt.session
        self._commit()
        for other in others:
            other.session.reset_call(other)
        self._push_later(others)
        self._wake_hedging()

    def _push_later(self, attempts: list[HedgedAttempt]) -> None:
        """Send what cancels them: not in the callback of a connection, which may be in the middle of its own output."""
        for session in {attempt.session for attempt in attempts}:
            with suppress(NotConnected):  # then there is nothing to be sent either
                self._core.kernel.call_soon(session.push)

    def attempt_ended(self, attempt: HedgedAttempt, status: Status, trailers: Metadata, *, unprocessed: bool) -> None:
        """An attempt is over: with it the call, or other attempts go on."""
        if self._chosen:
            self._hedges.ended(status)
            self._running = []
            self._finish(status, trailers)
            return
        if attempt in self._running:
            self._running.remove(attempt)
        now = self._core.kernel.now()
        deadline = self._details.deadline
        sent = attempt.wire_id > 0
        if status.code and self._hedges.failed(
            attempt.number, status, trailers, now, unprocessed=unprocessed, sent=sent
        ):
            due = self._hedges.due
            if self._running or (due < inf and (deadline is None or max(due, now) < deadline)):
                if self._running:
                    self._session = self._running[0].session
                self._notify()
                self._wake_hedging()
                return
        elif not status.code:
            self._hedges.ended(status)
        others, self._running, self._chosen = self._running, [], True
        for other in others:
            other.session.reset_call(other)
        self._push_later(others)
        self._finish(status, trailers)

    def _finish(self, status: Status, trailers: Metadata) -> None:
        super()._finish(status, trailers)
        self._wake_hedging()

    def _commit(self) -> None:
        """What was sent is too much to be sent again, or an attempt has an answer."""
        super()._commit()
        if not self._chosen and self._running:
            self.choose(self._running[0])

    def as_unary(self, message: bytes | None, status: Status) -> UnaryCall:
        """The call, which is over, as one with one response."""
        call = UnaryCall(self._opened_session())
        call.ended = True
        call.status, call.message = status, message
        call.headers_came, call.headers = self._headers is not None, self._headers or ()
        call.trailers = self._trailers
        return call

    # -- what the call does, on each attempt that runs

    def _put(self, session: ClientSession, data: bytes, compress: bool) -> None:
        for attempt in list(self._running):
            attempt.session.connection.send_message(attempt, data, compress=compress)
            attempt.session.messages_sent += 1
            attempt.session.last_sent = session.kernel.now()

    def _end_sending(self, session: ClientSession) -> None:  # noqa: ARG002 - each has its own
        for attempt in list(self._running):
            attempt.session.connection.half_close(attempt)

    def _buffered(self, session: ClientSession) -> int:  # noqa: ARG002 - each has its own
        return min((attempt.session.connection.send_buffered(attempt) for attempt in self._running), default=0)

    def _is_clogged(self, session: ClientSession) -> bool:  # noqa: ARG002 - each has its own
        """A slow server does not hold back what a quicker one takes: there is a bound to what is kept for it."""
        return all(attempt.session.connection.is_held_back(attempt) for attempt in self._running)

    def _consume(self, session: ClientSession, octets: int) -> None:
        for attempt in self._running:
            session.connection.consume(attempt, octets)

    def _reset(self) -> None:
        running, self._running = self._running, []
        for attempt in running:
            attempt.session.reset_call(attempt)
        self._push_later(running)

    def _push(self, session: ClientSession) -> None:
        sessions = {attempt.session for attempt in self._running}
        for running in sessions or (session,):
            running.push()

    def _send(self, session: ClientSession, data: bytes, compress: bool) -> bool:  # noqa: ARG002 - each has its own
        if self._status is None and not self._running and not self._half_closed:
            return False
        return super()._send(self._opened_session(), data, compress)

    async def _try_again(self) -> None:
        """Wait until an attempt runs, or the call is over."""
        while (waiter := self._core.kernel.locked(self._attempt_waiter)) is not None:
            await self._wait(waiter)

    def _attempt_waiter(self) -> Waiter | None:
        return self._waiter() if self._status is None and not self._running else None

    async def _wait(self, waiter: Waiter) -> None:
        deadline = self._details.deadline
        if await waiter.wait(inf if deadline is None else deadline):
            return
        kernel = self._core.kernel
        for session in {attempt.session for attempt in kernel.locked(list, self._running)}:
            session.locked(session.connection.advance, kernel.now())
            session.push()
        kernel.locked(self._expire)

    def _expire(self) -> None:
        """The deadline has passed. Where no attempt runs that tells so, the call tells it itself."""
        if self._status is None and not self._running:
            self._finish(BETWEEN_ATTEMPTS, ())


def client_call(
    core: ChannelCore,
    details: CallDetails,
    *,
    serialize: Serializer[RequestT] | None = None,
    deserialize: Deserializer[ResponseT] | None = None,
    only_request: bytes | None = None,
) -> ClientCall[RequestT, ResponseT]:
    """A call, hedged where its method's policy says so. Raises InvalidArgument for a request that is too large."""
    config = core.options.methods.of(details.path)
    if only_request is not None:
        config.check_request(len(only_request))
    if config.hedging is None:
        return ClientCall(core, details, serialize=serialize, deserialize=deserialize, only_request=only_request)
    return HedgedCall(
        core, details, config.hedging, serialize=serialize, deserialize=deserialize, only_request=only_request
    )


async def hedged_exchange(core: ChannelCore, details: CallDetails, policy: HedgingPolicy, data: bytes) -> UnaryCall:
    """One request and its response, hedged; the call it gives is over."""
    call: HedgedCall[bytes, bytes] = HedgedCall(core, details, policy, only_request=data)
    await call.open_prepared()
    message: bytes | None = None
    status: Status | None = None
    try:
        while (received := await call.receive()) is not None:
            if message is not None:
                status = TWO_MESSAGES
                break
            message = received
    except RpcError:
        if not call.is_over:
            raise
    finally:
        call.cancel()
    return call.as_unary(message, status or call.status)
