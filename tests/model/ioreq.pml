/* SPDX-License-Identifier: MIT */
/*
 * INVALIDATE between Xen and the cache, for spin. README.md says what the model covers and
 * what its bounds mean; check_spin.sh which variants are run.
 *
 *   VCPUS, SERVERS     how many
 *   CHANGES            hypercalls that take a frame away, by each vCPU
 *   OUTSIDE            the same by the toolstack
 *   MMIO               each vCPU sends an ordinary request after each hypercall
 *   IO                 each server has a thread that looks up without being asked
 *   FLAG_PER_DOMAIN    one invalidate flag for the domain instead of one per vCPU
 *   LATE               servers are enabled while all this goes on, and once more
 *   DRAIN              INVALIDATE is answered after sections have ended
 *   ITEMS              so many look-ups for an ordinary request: the items of a rep stos
 *   SHARED             one thread of a server serves all vCPUs
 *   DEFER              ordinary requests are completed by a worker, where vCPU 0's wait until
 *                      vCPU 1 has done all its hypercalls: what takes long
 *   BUG_*              one mistake; spin must find it
 */
#ifndef VCPUS
#define VCPUS 2
#endif
#ifndef SERVERS
#define SERVERS 1
#endif
#ifndef CHANGES
#define CHANGES 1
#endif
#ifndef OUTSIDE
#define OUTSIDE 0
#endif

#ifndef ITEMS
#define ITEMS 1
#endif

#define SLOTS (VCPUS * SERVERS)
#define SLOT(v, s) ((v) * SERVERS + (s))

/* What one server's threads are: one for each vCPU, one for I/O, and a worker. */
#define THREADS (VCPUS + 2)
#define THREAD(s, t) ((s) * THREADS + (t))

#ifdef FLAG_PER_DOMAIN
#define FLAG(v) 0
#else
#define FLAG(v) (v)
#endif

mtype = { NONE, READY, INPROCESS, RESPONSE };

/*
 * Guest memory is one frame, and version is the machine page behind it: every change that
 * takes a page away puts another one there. Who maps gets the version of that moment.
 */
byte version;
/* What a look-up that starts now must at least see: a vCPU has gone on after that change. */
byte must_see;

/* ---- Xen ---- */
mtype state[SLOTS] = NONE;
bit is_invalidate[SLOTS];
bit is_enabled[SERVERS];
bit flag[VCPUS];
byte outside_done; /* the last change of the toolstack whose hypercall has returned */
bit over[VCPUS];   /* has done all its hypercalls */

/* ---- one cache for each server ---- */
byte epoch[SERVERS] = 1;
byte mapped_version[SERVERS]; /* the one mapping: what it shows, and its stamp; current */
byte mapped_epoch[SERVERS] = 1;
bit ready[SERVERS];           /* mapcache_ioreq_enable() has returned */
byte section[SERVERS * THREADS];
bit deferred[SLOTS];

/* ---- the cache -------------------------------------------------------------------------- */

/*
 * A section with one look-up by thread t of server s, and then one use of the pointer. Before
 * a server is enabled nothing is promised.
 */
inline look_up(s, t)
{
	atomic {
		checked = ready[s];
		need = must_see;
		section[THREAD(s, t)] = epoch[s];
	}
	atomic {
		shown = mapped_version[s];
		stamp = mapped_epoch[s];
	}
	do
	:: stamp == epoch[s] -> break
	:: else ->
#ifdef BUG_STAMP_AFTER_MAP
		shown = version;
		stamp = epoch[s];
#else
		stamp = epoch[s];
		shown = version;
#endif
		atomic {
			mapped_version[s] = shown;
			mapped_epoch[s] = stamp;
		}
	od;
	/* A: fresh after the answer. */
	assert(!checked || shown >= need);
#ifdef DRAIN
	/* F: nor is an older pointer still in use. */
	assert(!checked || shown >= must_see);
#endif
	atomic {
		section[THREAD(s, t)] = 0;
		shown = 0;
		stamp = 0;
		need = 0;
		checked = 0;
	}
}

#define OVER(s, t, e) (section[THREAD(s, t)] == 0 || section[THREAD(s, t)] >= (e))
#if VCPUS == 1
#define DRAINED(s, e) (OVER(s, 0, e) && OVER(s, 1, e))
#elif VCPUS == 2
#define DRAINED(s, e) (OVER(s, 0, e) && OVER(s, 1, e) && OVER(s, 2, e))
#else
#define DRAINED(s, e) (OVER(s, 0, e) && OVER(s, 1, e) && OVER(s, 2, e) && OVER(s, 3, e))
#endif

inline invalidate(s)
{
	atomic {
		epoch[s]++;
		mine = epoch[s];
	}
}

/* ---- our server -------------------------------------------------------------------------- */

/* Xen crashes the guest for any other step. */
inline answer(v, s)
{
	atomic {
		assert(state[SLOT(v, s)] == INPROCESS);
		state[SLOT(v, s)] = RESPONSE
	}
}

/* An ordinary request, item by item, by thread t. */
inline handle_items(v, s, t)
{
	do
	:: items < ITEMS ->
		items++;
		look_up(s, t)
	:: else -> break
	od;
	items = 0
}

/* What vCPU 0 asks for takes until vCPU 1 has come to its end. */
#if defined(DEFER) && VCPUS > 1
#define DONE(v) (v != 0 || over[1])
#else
#define DONE(v) (true)
#endif

/* The request of vCPU v, which is READY, by thread t of server s. */
inline serve(v, s, t)
{
	state[SLOT(v, s)] = INPROCESS;
	if
	:: is_invalidate[SLOT(v, s)] ->
#ifdef BUG_ANSWER_FIRST
		answer(v, s);
		invalidate(s);
#else
#ifdef BUG_DRAIN_IN_SECTION
		section[THREAD(s, t)] = epoch[s];
#endif
		invalidate(s);
#if defined(DRAIN) && !defined(BUG_NO_DRAIN)
		DRAINED(s, mine);
#endif
#ifdef BUG_DRAIN_IN_SECTION
		section[THREAD(s, t)] = 0;
#endif
		answer(v, s);
#endif
		mine = 0
	:: else ->
#if defined(DEFER) && !defined(BUG_HANDLER_WAITS)
		deferred[SLOT(v, s)] = 1
#else
		DONE(v);
		handle_items(v, s, t);
#ifndef BUG_NO_ANSWER
		answer(v, s)
#endif
#endif
	fi
}

#ifdef SHARED
/* The one thread of server s. */
proctype handler(byte s)
{
	byte shown, stamp, need, mine, items;
	bit checked;

end:	do
	:: state[SLOT(0, s)] == READY -> serve(0, s, 0)
#if VCPUS > 1
	:: state[SLOT(1, s)] == READY -> serve(1, s, 0)
#endif
	od
}
#else
/* The thread of a server that serves one vCPU. */
proctype handler(byte cpu; byte own)
{
	byte shown, stamp, need, mine, items;
	bit checked;

end:	do
	:: state[SLOT(cpu, own)] == READY -> serve(cpu, own, cpu)
	od
}
#endif

/* mapcache_ioreq_complete(), by whoever: one at a time, what is done first. */
inline complete(v, s)
{
	handle_items(v, s, VCPUS + 1);
	deferred[SLOT(v, s)] = 0;
	answer(v, s);
#ifdef BUG_COMPLETE_TWICE
	answer(v, s);
#endif
}

proctype worker(byte s)
{
	byte shown, stamp, need, items;
	bit checked;

end:	do
	:: deferred[SLOT(0, s)] && DONE(0) -> complete(0, s)
#if VCPUS > 1
	:: deferred[SLOT(1, s)] && DONE(1) -> complete(1, s)
#endif
	od
}

/* Virtio rings, timers: looks up whenever it likes. */
proctype io(byte s)
{
	byte shown, stamp, need;
	bit checked;

end:	do
	:: look_up(s, VCPUS)
	od
}

/* mapcache_ioreq_enable(). */
proctype embedder(byte s)
{
	byte mine, times;

	do
	:: times < 2 ->
		times++;
#ifdef BUG_INVALIDATE_THEN_ENABLE
		invalidate(s);
		is_enabled[s] = 1;
#else
		is_enabled[s] = 1;
#ifndef BUG_ENABLE_ONLY
		invalidate(s);
#endif
#endif
		ready[s] = 1;
		if
		:: times < 2 ->
			ready[s] = 0;
			is_enabled[s] = 0
		:: else
		fi
	:: else -> break
	od
}

/* ---- Xen ---------------------------------------------------------------------------------- */

inline wait_for(v, s)
{
	/* The vCPU looks whenever it is woken, and sees a state that never goes back. */
	state[SLOT(v, s)] == RESPONSE;
	state[SLOT(v, s)] = NONE
}

/*
 * The end of a hypercall, or a VM entry: INVALIDATE to every server that is enabled, newest
 * first, if this vCPU's flag says so; go on when all have answered.
 */
inline deliver(v)
{
	if
	:: outside_done > relies_on -> relies_on = outside_done
	:: else
	fi;
	atomic {
		send = flag[FLAG(v)];
		flag[FLAG(v)] = 0
	}
	if
	:: send ->
		server = SERVERS;
		do
		:: server > 0 ->
			server--;
			if
			:: is_enabled[server] ->
				asked = asked | (1 << server);
				is_invalidate[SLOT(v, server)] = 1;
				state[SLOT(v, server)] = READY
			:: else
			fi
		:: else -> break
		od;
		do
		:: server < SERVERS ->
			if
			:: asked & (1 << server) -> wait_for(v, server)
			:: else
			fi;
			server++
		:: else -> break
		od;
		atomic {
			server = 0;
			asked = 0;
			send = 0
		}
	:: else
	fi;
	atomic {
		if
		:: relies_on > must_see -> must_see = relies_on
		:: else
		fi
	}
}

inline ordinary_request(v)
{
	if
	:: is_enabled[0] -> server = 0
#if SERVERS > 1
	:: is_enabled[1] -> server = 1
#endif
	:: else -> server = SERVERS
	fi;
	if
	:: server < SERVERS ->
		is_invalidate[SLOT(v, server)] = 0;
		state[SLOT(v, server)] = READY;
		wait_for(v, server)
	:: else
	fi;
	server = 0
}

proctype vcpu(byte v)
{
	byte rounds, server, asked, relies_on;
	bit send;

	do
	:: rounds < CHANGES ->
		rounds++;
		/* p2m: the entry first, then the flag. */
		atomic {
			version++;
			relies_on = version
		}
		flag[FLAG(v)] = 1;
		deliver(v);
#ifdef MMIO
		ordinary_request(v)
#endif
	:: else -> break
	od;
	over[v] = 1;
#if OUTSIDE > 0
	/* One more entry, for what the toolstack has done meanwhile. */
	deliver(v);
#ifdef MMIO
	ordinary_request(v)
#endif
#endif
}

proctype toolstack()
{
	byte done, v, mine;

	do
	:: done < OUTSIDE ->
		done++;
		atomic {
			version++;
			mine = version
		}
		v = 0;
		do
		:: v < VCPUS ->
#ifndef BUG_OUTSIDE_FLAGS_ONE
			flag[FLAG(v)] = 1;
#else
			if
			:: v == 0 -> flag[FLAG(v)] = 1
			:: else
			fi;
#endif
			v++
		:: else -> break
		od;
		outside_done = mine
	:: else -> break
	od
}

init
{
	byte v, s;

	atomic {
		s = 0;
		do
		:: s < SERVERS ->
#ifdef LATE
			run embedder(s);
#else
			is_enabled[s] = 1;
			ready[s] = 1;
#endif
#ifdef IO
			run io(s);
#endif
#ifdef DEFER
			run worker(s);
#endif
#ifdef SHARED
			run handler(s);
#else
			v = 0;
			do
			:: v < VCPUS -> run handler(v, s); v++
			:: else -> break
			od;
#endif
			s++
		:: else -> break
		od;
		v = 0;
		do
		:: v < VCPUS -> run vcpu(v); v++
		:: else -> break
		od;
#if OUTSIDE > 0
		run toolstack();
#endif
		v = 0;
		s = 0
	}
}

#ifdef LIVENESS
#define answered(k) ([] (state[k] == READY -> <> (state[k] == RESPONSE)))
#if VCPUS * SERVERS == 1
ltl every_request_is_answered { answered(0) }
#elif VCPUS * SERVERS == 2
ltl every_request_is_answered { answered(0) && answered(1) }
#endif
#endif
